import type { FastifyReply } from 'fastify';
import { utf8ToBytes } from '../http/byte-string.js';
import type { Fields } from '../http/fields.js';
import { MAX_TAG_LENGTH } from '../http/surrogate-keys.js';
import { InvalidTagError } from './errors.js';

/** The tags of responses that are still being made. */
const tagsOf = new WeakMap<FastifyReply, Set<string>>();

/** `reply.cacheTags`. Throws an {@link InvalidTagError}. */
export function cacheTags(this: FastifyReply, ...tags: readonly string[]): FastifyReply {
  const known = tagsOf.get(this) ?? new Set();
  tagsOf.set(this, known);
  for (const tag of tags) {
    const fault = tagFault(tag);
    if (fault !== undefined) throw new InvalidTagError(tag, fault);
    known.add(tagBytes(tag));
  }
  return this;
}

/** Puts the tags of a response into its fields, where the cache looks for them. */
export function addTags(reply: FastifyReply, ofRoute: readonly string[], fields: Fields): void {
  const tags = new Set([...ofRoute, ...(tagsOf.get(reply) ?? [])]);
  if (tags.size > 0) fields.append('Surrogate-Key', [...tags].join(' '));
}

/** What is wrong with a tag, or `undefined`. In the field, a space ends it. */
export function tagFault(tag: unknown): string | undefined {
  if (typeof tag !== 'string') return 'a tag is text';
  if (!/^[^\s\p{Cc}]+$/u.test(tag)) return 'a tag has at least one character, and no space';
  return tagBytes(tag).length > MAX_TAG_LENGTH ? `a tag has at most ${MAX_TAG_LENGTH} bytes` : undefined;
}

/** A tag that a person wrote, as it goes by in fields and counters. */
export function tagBytes(tag: string): string {
  return utf8ToBytes(tag);
}
