import { type Fields, withoutConnectionFields } from './fields.js';

/**
 * The fields of a stored response after a 304 for it: those that the 304 has take the place of the stored ones, the
 * others stay (RFC 9111, sections 3.2 and 4.3.4).
 *
 * Whether the result may still be stored and used is to be asked of `storagePlan` anew: a 304 may bring `no-store`,
 * `private` or a cookie.
 */
export function freshened(stored: Fields, notModified: Fields): Fields {
  const news = withoutConnectionFields(notModified).filter((name) => !OF_THE_BODY.has(name));
  const merged = stored.filter((name) => !news.has(name) && !OF_THE_MESSAGE.has(name));
  for (const [name, value] of news) merged.append(name, value);
  return merged;
}

/** They describe the stored body, which a 304 does not replace. */
const OF_THE_BODY: ReadonlySet<string> = new Set(['content-length', 'content-range']);

/** They tell when the stored message was made; an old one left standing would make the freshened response old. */
const OF_THE_MESSAGE: ReadonlySet<string> = new Set(['age', 'date']);
