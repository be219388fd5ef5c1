import { Fields } from '../http/fields.js';
import { contentRange } from '../http/range.js';
import { variantDigest } from '../http/vary.js';
import { planAnswer } from './answer.js';
import type { Body } from './body.js';
import type { Answered, CacheRequest } from './cache.js';
import type { Refusal, Replay, ReplayPart } from './decision.js';
import type { SharedResponse } from './fill.js';
import { contentLength } from './origin.js';
import type { CacheOutcome } from './outcome.js';
import { SharedBody } from './shared-body.js';
import type { StoredEntry } from './stored-entry.js';

/** The answer out of the store; `undefined` when its body turns out to be lost. */
export function answeredWith(decision: Replay | ReplayPart, request: CacheRequest): Promise<Answered | undefined> {
  if (decision.kind === 'replay-part') return replayedPart(decision);
  return replayed(request, decision.entry, decision.outcome, decision.ageSeconds);
}

/** The answer with an entry; `undefined` when its body turns out to be lost. */
export async function replayed(
  request: CacheRequest,
  entry: StoredEntry,
  outcome: CacheOutcome,
  ageSeconds: number,
): Promise<Answered | undefined> {
  const { bytes } = entry.body;
  const { status, fields, part } = planAnswer(request, entry, bytes, Date.now());
  fields.set('Age', String(ageSeconds));
  const answered = (body: Body): Answered => {
    return { kind: 'answer', response: { status, fields, body, delimited: true }, outcome, storage: undefined };
  };
  if (part === null) return answered(null);
  const { start, end } = part ?? { start: 0, end: bytes };
  fields.set('Content-Length', String(end - start));
  if (request.method === 'HEAD') return answered(null);
  const body = await entry.body.read(start, end);
  return body && answered(body);
}

/** The answer with some bytes of a stored part; `undefined` when they turn out to be lost. */
async function replayedPart({ entry, part, selected, outcome, ageSeconds }: ReplayPart): Promise<Answered | undefined> {
  const { fields } = entry;
  const body = await entry.body.read(selected.start - part.start, selected.end + 1 - part.start);
  if (body === undefined) return undefined;
  fields.set('Content-Range', contentRange(selected, part.sizeBytes));
  fields.set('Content-Length', String(selected.end + 1 - selected.start));
  fields.set('Age', String(ageSeconds));
  return { kind: 'answer', response: { status: 206, fields, body, delimited: true }, outcome, storage: undefined };
}

/** 504, as RFC 9111 says (section 5.2.1.7). */
export function notCached({ outcome, because }: Refusal): Answered {
  const fields = new Fields(['Cache-Control', 'no-store']);
  return { kind: 'answer', response: { status: 504, fields, body: null, delimited: true }, outcome, storage: because };
}

export function collapsed(outcome: CacheOutcome, isCollapsed: boolean): CacheOutcome {
  return isCollapsed ? { ...outcome, verdict: 'collapsed' } : outcome;
}

/** The part of a shared response that the request asks for; `undefined` when it is another variant, or too late to join. */
export function shared(request: CacheRequest, fetched: SharedResponse, isCollapsed: boolean): Answered | undefined {
  const { status, body, failure, storage } = fetched;
  if (variantDigest(fetched.varyNames, request.fields) !== fetched.variant) return undefined;
  const fields = (isCollapsed ? fetched.fields : fetched.ownFields).clone();
  const bytes = body instanceof SharedBody ? contentLength(fields) : (body?.length ?? 0);
  const { part, ...head } = planAnswer(request, { status, fields }, bytes, Date.now());
  const { start, end } = part ?? { start: 0, end: bytes };
  const joined =
    part === null || body === null
      ? null
      : body instanceof SharedBody
        ? body.join(start, end)
        : body.subarray(start, end);
  if (joined === undefined) return undefined;
  if (joined === null && body instanceof SharedBody) body.fill();
  if (part !== undefined && part !== null) head.fields.set('Content-Length', String(part.end - part.start));
  const response = { ...head, body: joined, delimited: true, failure };
  return { kind: 'answer', response, outcome: collapsed(fetched.outcome, isCollapsed), storage };
}
