import { z } from 'zod';

/**
 * Options that are a duration or a size, as configs write them: a whole number with its unit. What comes out is a plain
 * number in the unit that the function's name says. A default is given with `.prefault('30s')`, so that the JSON Schema
 * shows it as it would be written.
 */

/** The least and the most an option takes, both inclusive, written as a config would (`'1ms'`, `'4MiB'`). */
interface Bounds {
  readonly min?: string;
  readonly max?: string;
}

/** What an option of this kind takes in, and what it gives. */
type UnitSchema = z.ZodType<number, number | string>;

/** A duration in milliseconds. A number without unit counts seconds, as everywhere in a config. */
export function durationMs(bounds: Bounds = {}): UnitSchema {
  return unitSchema(DURATION, 1, bounds);
}

/** A duration in whole seconds: `1500ms` is refused. Unless `bounds` says otherwise, zero is allowed. */
export function durationSeconds(bounds: Bounds = {}): UnitSchema {
  return unitSchema(DURATION, DURATION.factors.s, bounds);
}

/** A size in bytes. The units are powers of 1024: `64k`, `64kB`, `64KiB` and lighttpd2's `64kbyte` are all 65536. */
export function byteSize(bounds: Bounds = {}): UnitSchema {
  return unitSchema(SIZE, 1, bounds);
}

interface Quantity {
  readonly noun: string;
  readonly forms: string;
  /** One amount with its unit; the pattern of the whole is made of it. */
  readonly part: string;
  /** How many parts may stand one behind the other, as a quantifier: `1h30m` has two. */
  readonly parts: '' | '+';
  /** What one of each unit counts, in the base unit. */
  readonly factors: { readonly [unit: string]: number };
  /** What a number without unit counts, in the base unit. */
  readonly bare: number;
}

const DURATION = {
  noun: 'a duration',
  forms: 'a whole number of seconds, or one with a unit: 100ms, 90s, 5m, 1h30m, 7d',
  part: '([0-9]+)(ms|s|m|h|d)',
  parts: '+',
  factors: { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 },
  bare: 1000,
} as const satisfies Quantity;

const SIZE = {
  noun: 'a size',
  forms: 'a whole number of bytes, or one with a unit: 64k, 64KiB, 4MiB, 1GiB',
  part: '([0-9]+)([kKmMgG])(?:i?[bB]|byte)?',
  parts: '',
  factors: { k: 1024, m: 1024 ** 2, g: 1024 ** 3 },
  bare: 1,
} as const satisfies Quantity;

function unitSchema(quantity: Quantity, divisor: number, bounds: Bounds): UnitSchema {
  const pattern = `^(?:[0-9]+|(?:${quantity.part})${quantity.parts})$`;
  const error = (issue: { input?: unknown }) => (issue.input === undefined ? undefined : notOne(issue.input, quantity));
  return z.union([z.number(), z.string().meta({ pattern })], { error }).transform((value, check) => {
    const fault = (message: string) => {
      check.issues.push({ code: 'custom', message, input: value });
      return z.NEVER;
    };
    const amount = read(value, quantity);
    if (amount === undefined) return fault(notOne(value, quantity));
    if (amount % divisor !== 0) return fault(`${shown(value)} is not a whole number of seconds`);
    const { min, max } = bounds;
    if (min !== undefined && amount < limit(min, quantity)) return fault(`${shown(value)} is less than ${min}`);
    if (max !== undefined && amount > limit(max, quantity))
      return fault(`${shown(value)} is more than ${max}${bare(value, quantity)}`);
    return amount / divisor;
  });
}

/** `value` in the quantity's base unit; `undefined` when it is not written as one. */
function read(value: number | string, quantity: Quantity): number | undefined {
  const pattern = `^(?:${quantity.part})${quantity.parts}$`;
  let amount = 0;
  if (typeof value === 'number') amount = value * quantity.bare;
  else if (/^[0-9]+$/.test(value)) amount = Number(value) * quantity.bare;
  else if (!new RegExp(pattern).test(value)) return undefined;
  else {
    for (const [, count, unit = ''] of value.matchAll(new RegExp(quantity.part, 'g'))) {
      amount += Number(count) * (quantity.factors[unit.toLowerCase()] ?? Number.NaN);
    }
  }
  const whole = typeof value === 'string' || Number.isInteger(value);
  return whole && Number.isSafeInteger(amount) && amount >= 0 ? amount : undefined;
}

function limit(bound: string, quantity: Quantity): number {
  const amount = read(bound, quantity);
  if (amount === undefined) throw new Error(`the bound ${notOne(bound, quantity)}`);
  return amount;
}

function notOne(value: unknown, quantity: Quantity): string {
  return `${shown(value)} is not ${quantity.noun}: expected ${quantity.forms}`;
}

/** Reminds of the unit that a bare number has: `timeout: 100` is likely to have meant milliseconds. */
function bare(value: number | string, quantity: Quantity): string {
  const isBareDuration = quantity === DURATION && /^[0-9]+$/.test(String(value));
  return isBareDuration ? ' (a number without unit counts seconds)' : '';
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
