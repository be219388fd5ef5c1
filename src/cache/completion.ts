import { freshened } from '../http/freshen.js';
import { areOfOneRepresentation, type StoredPart, storedPart } from '../http/partial.js';
import { type Body, Pieces } from './body.js';
import type { OriginResponse } from './origin.js';
import type { StoredEntry } from './stored-entry.js';

/** A part of a response, out of the store, that lacks one other part to be the whole. */
export interface Incomplete {
  readonly entry: StoredEntry;
  readonly part: StoredPart;
  /** The Range that asks for the rest. */
  readonly missing: string;
}

/**
 * The whole response, made of the stored part and of the origin's answer to the request for the rest, with the fields of
 * that answer (RFC 9111, section 3.4). `undefined` when the answer is not the rest, or not for certain of the same
 * representation; its body has then been read or destroyed.
 */
export async function completed(
  { entry, part }: Incomplete,
  response: OriginResponse,
): Promise<OriginResponse | undefined> {
  const rest = response.failure === undefined ? storedPart(response) : undefined;
  const missingBytes = part.sizeBytes - entry.body.bytes;
  const received = await collected(response.body, missingBytes);
  if (rest === undefined || received?.length !== missingBytes || rest.sizeBytes !== part.sizeBytes) return undefined;
  if (!areOfOneRepresentation(entry.fields, response.fields)) return undefined;
  const stored = await entry.body.read(0, entry.body.bytes);
  if (!(stored instanceof Uint8Array)) return undefined;
  const isBehind = rest.start === part.end + 1 && rest.end === part.sizeBytes - 1;
  const isInFront = rest.start === 0 && rest.end === part.start - 1;
  if (!isBehind && !isInFront) return undefined;
  const fields = freshened(entry.fields, response.fields);
  fields.delete('content-range');
  fields.set('Content-Length', String(part.sizeBytes));
  const body = Buffer.concat(isBehind ? [stored, received] : [received, stored]);
  return { status: 200, fields, body, delimited: true };
}

/** All bytes of `body`; `undefined` when it breaks off, or has more than `maxBytes`. */
async function collected(body: Body, maxBytes: number): Promise<Uint8Array | undefined> {
  if (body === null || body instanceof Uint8Array) return body ?? undefined;
  const pieces = new Pieces();
  try {
    for await (const chunk of body) {
      pieces.add(chunk);
      if (pieces.bytes > maxBytes) return undefined;
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(pieces.take());
}
