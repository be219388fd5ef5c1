/** What a cache must know of status codes (RFC 9110, section 15; RFC 9111, sections 3 and 4.2.2). */

/** Statuses that may be given a lifetime by guessing, and kept without any freshness information (RFC 9110, section 15.1). */
const HEURISTICALLY_CACHEABLE: ReadonlySet<number> = new Set([
  200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501,
]);

export function isHeuristicallyCacheable(status: number): boolean {
  return HEURISTICALLY_CACHEABLE.has(status);
}

/**
 * Statuses whose meaning for caches we know, which is what `must-understand` asks for. Those that answer one particular
 * request only are not among them: they are never stored, or (206) under rules of their own.
 */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  ...[200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308],
  ...[
    400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 413, 414, 415, 417, 421, 422, 426, 428, 429, 431, 451,
  ],
  ...[500, 501, 502, 503, 504, 505, 511],
]);

export function isUnderstood(status: number): boolean {
  return UNDERSTOOD.has(status);
}

/**
 * Whether responses with this status can be stored at all: final ones, but neither a 304, which is about a stored
 * response and is none itself, nor a 416, which is about a range.
 */
export function isStorable(status: number): boolean {
  return status >= 200 && status <= 599 && status !== 304 && status !== 416;
}

export function isErrorStatus(status: number): boolean {
  return status >= 400;
}

/** The answers to which a stale response may be preferred (RFC 5861, section 4). */
const ORIGIN_FAILURES: ReadonlySet<number> = new Set([500, 502, 503, 504]);

export function isOriginFailure(status: number): boolean {
  return ORIGIN_FAILURES.has(status);
}
