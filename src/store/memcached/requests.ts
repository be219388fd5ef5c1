import { type IncrementOptions, type SetOptions, type Value, valueBytes } from '../store.js';
import { isUnsigned64, MAX_FLAGS } from './dialect.js';
import type { Count, Write } from './operation.js';

// What callers ask for, checked for being something a server could do. The rest throws a RangeError: it is a bug of the
// caller, which must not pass for a failing store.

/** The write that `options` ask for. */
export function writeOf(value: Value, options: SetOptions): Write {
  const { mode = 'set', ttlSeconds = 0, flags = 0, cas } = options;
  if (!Number.isInteger(flags) || flags < 0 || flags > MAX_FLAGS) throw new RangeError(`flags: ${flags}`);
  if (cas !== undefined && mode !== 'set') throw new RangeError(`cas with mode ${mode}`);
  return {
    value,
    valueBytes: valueBytes(value),
    mode,
    flags,
    ttlSeconds: checkedTtl(ttlSeconds),
    cas: checkedCas(cas),
  };
}

/** The change of a counter that `delta` and `options` ask for. */
export function countOf(delta: bigint, options: IncrementOptions): Count {
  const { initial, ttlSeconds = 0 } = options;
  if (delta > MAX_COUNTER || -delta > MAX_COUNTER) throw new RangeError(`delta: ${delta}`);
  if (initial !== undefined && (initial < 0n || initial > MAX_COUNTER)) throw new RangeError(`initial: ${initial}`);
  return { delta, initial, ttlSeconds: checkedTtl(ttlSeconds) };
}

/** `ttlSeconds`, which must be a whole number from 0. */
export function checkedTtl(ttlSeconds: number): number {
  if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 0) throw new RangeError(`ttlSeconds: ${ttlSeconds}`);
  return ttlSeconds;
}

/** `cas`, which must be a decimal number of at most 64 bits, as a store handed it out. */
export function checkedCas(cas: string | undefined): string | undefined {
  if (cas !== undefined && !isUnsigned64(cas)) throw new RangeError('cas: not a decimal number of 64 bits');
  return cas;
}

const MAX_COUNTER = 2n ** 64n - 1n;
