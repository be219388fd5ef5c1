import { KINDS, type Kind, type Results, type Suite, type TestGroup, type Verdict } from './suite.js';

/** What became of the tests of one run, one verdict each. */
export interface Score {
  readonly verdicts: ReadonlyMap<string, Verdict>;
}

/** Passed, and all there are. */
export interface Count {
  readonly passed: number;
  readonly total: number;
}

export function scoreOf(suite: Pick<Suite, 'groups' | 'verdict'>, results: Results): Score {
  const ids = suite.groups.flatMap(({ tests }) => tests.map(({ id }) => id));
  return { verdicts: new Map(ids.map((id) => [id, suite.verdict(id, results)])) };
}

export function isPassed(verdict: Verdict | undefined): boolean {
  return verdict === 'pass' || verdict === 'yes';
}

/** How many of the tests of one kind in `groups` were passed. */
export function count(groups: readonly TestGroup[], kind: Kind, { verdicts }: Score): Count {
  const tests = groups.flatMap((group) => group.tests).filter((test) => test.kind === kind);
  return { passed: tests.filter(({ id }) => isPassed(verdicts.get(id))).length, total: tests.length };
}

/** How often each verdict occurs among the tests of each kind. */
export function verdictCounts(groups: readonly TestGroup[], { verdicts }: Score): Map<Kind, Map<Verdict, number>> {
  const counts = new Map<Kind, Map<Verdict, number>>(KINDS.map((kind) => [kind, new Map()]));
  for (const { id, kind } of groups.flatMap((group) => group.tests)) {
    const verdict = verdicts.get(id) ?? 'untested';
    const ofKind = counts.get(kind);
    ofKind?.set(verdict, (ofKind.get(verdict) ?? 0) + 1);
  }
  return counts;
}
