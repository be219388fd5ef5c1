import { z } from 'zod';
import { isPassed, type Score } from './score.js';
import { type Kind, type TestGroup, verdictSchema } from './suite.js';

export const STORES = ['memcached', 'embedded'] as const;
export const PROFILES = ['rfc', 'safe'] as const;

export type StoreKind = (typeof STORES)[number];
export type Profile = (typeof PROFILES)[number];

const runSchema = z.strictObject({
  /** How many tests were passed; later runs must pass as many. */
  required: z.int(),
  optimal: z.int(),
  check: z.int(),
  /** Every test that was not passed, with the suite's verdict. */
  notPassed: z.record(z.string(), verdictSchema),
});

export type RecordedRun = z.output<typeof runSchema>;

/** What recorded.json holds: the numbers that are to be kept, by store and profile. */
export const recordSchema = z.partialRecord(z.enum(STORES), z.partialRecord(z.enum(PROFILES), runSchema));

export type ConformanceRecord = z.output<typeof recordSchema>;

export function recordedRun(groups: readonly TestGroup[], { verdicts }: Score): RecordedRun {
  const run = { required: 0, optimal: 0, check: 0, notPassed: new Map<string, z.output<typeof verdictSchema>>() };
  for (const { id, kind } of groups.flatMap((group) => group.tests)) {
    const verdict = verdicts.get(id) ?? 'untested';
    if (isPassed(verdict)) run[kind] += 1;
    else run.notPassed.set(id, verdict);
  }
  return { ...run, notPassed: Object.fromEntries(run.notPassed) };
}

/** The score that a recorded run had: what is not among its failures was passed. */
export function scoreOfRun(groups: readonly TestGroup[], run: RecordedRun): Score {
  const tests = groups.flatMap((group) => group.tests);
  return { verdicts: new Map(tests.map(({ id, kind }) => [id, run.notPassed[id] ?? passing(kind)])) };
}

function passing(kind: Kind): 'pass' | 'yes' {
  return kind === 'check' ? 'yes' : 'pass';
}

export interface Comparison {
  /** Whether fewer required or fewer optimal tests were passed than recorded. */
  readonly isBelow: boolean;
  /** Required and optimal tests that were passed when the numbers were recorded, and are not any more. */
  readonly lost: readonly string[];
  /** The other way round. */
  readonly gained: readonly string[];
}

/** `check` tests are no promise: what a cache answers to them is neither right nor wrong. */
export function compare(groups: readonly TestGroup[], now: RecordedRun, recorded: RecordedRun): Comparison {
  const counted = groups.flatMap((group) => group.tests).filter(({ kind }) => kind !== 'check');
  const failsIn = (run: RecordedRun) => new Set(counted.map(({ id }) => id).filter((id) => id in run.notPassed));
  const [failing, failed] = [failsIn(now), failsIn(recorded)];
  return {
    isBelow: now.required < recorded.required || now.optimal < recorded.optimal,
    lost: [...failing].filter((id) => !failed.has(id)),
    gained: [...failed].filter((id) => !failing.has(id)),
  };
}
