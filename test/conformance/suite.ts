import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';

/** A checkout of http-tests/cache-tests. Everything that is the suite's own, its verdicts included, is asked of it. */
export interface Suite {
  readonly directory: string;
  /** In the order of the suite, without what is for browsers only. */
  readonly groups: readonly TestGroup[];
  /** What the suite makes of the results of one run. */
  verdict(testId: string, results: Results): Verdict;
  /** The results of other caches that the suite publishes. */
  readonly published: readonly Published[];
}

export interface TestGroup {
  readonly id: string;
  readonly name: string;
  readonly tests: readonly { readonly id: string; readonly kind: Kind }[];
}

export const KINDS = ['required', 'optimal', 'check'] as const;

export type Kind = (typeof KINDS)[number];

/** The names that the suite gives its verdicts. `yes` and `no` are those of `check` tests. */
const VERDICTS = [
  'pass',
  'yes',
  'fail',
  'optional_fail',
  'no',
  'setup_fail',
  'harness_fail',
  'dependency_fail',
  'retry',
  'untested',
] as const;

export const verdictSchema = z.enum(VERDICTS);

export type Verdict = z.output<typeof verdictSchema>;

/** By test: `true`, or what went wrong and how. */
export const resultsSchema = z.record(z.string(), z.union([z.literal(true), z.array(z.unknown())]));

export type Results = z.output<typeof resultsSchema>;

export interface Published {
  readonly name: string;
  readonly results: Results;
}

/** The checkout can not be used; the message says what to do. */
export class SuiteError extends Error {
  override readonly name = 'SuiteError';
}

const groupsSchema = z.array(
  z.object({
    id: z.string(),
    name: z.string(),
    tests: z.array(
      z.object({ id: z.string(), kind: z.enum(KINDS).default('required'), browser_only: z.boolean().default(false) }),
    ),
  }),
);

const publishedSchema = z.array(z.object({ file: z.string(), name: z.string(), type: z.string() }));

const scoringSchema = z.object({
  resultTypes: z.record(z.string(), z.unknown()),
  determineTestResult: z.custom<(groups: unknown, testId: string, results: Results) => unknown>(
    (value) => typeof value === 'function',
  ),
});

/** Rejects with a {@link SuiteError} when there is no complete checkout at `path`. */
export async function openSuite(path: string): Promise<Suite> {
  const directory = resolve(path);
  const tests = await load(directory, 'tests/index.mjs');
  requireDependency(directory);
  const { resultTypes, determineTestResult } = scoringSchema.parse(
    await load(directory, 'test-engine/lib/results.mjs'),
  );
  const own = z.object({ default: z.unknown() }).parse(tests).default;
  const names = new Map(Object.entries(resultTypes).map(([name, type]) => [type, verdictSchema.parse(name)]));
  return {
    directory,
    groups: groupsSchema.parse(own).map(({ id, name, tests }) => ({
      id,
      name,
      tests: tests.filter((test) => !test.browser_only),
    })),
    verdict: (testId, results) => names.get(determineTestResult(own, testId, results)) ?? 'untested',
    published: await publishedIn(directory),
  };
}

async function publishedIn(directory: string): Promise<Published[]> {
  const { default: index } = z.object({ default: publishedSchema }).parse(await load(directory, 'results/index.mjs'));
  const require = createRequire(join(directory, 'package.json'));
  return index
    .filter(({ type }) => type !== 'browser')
    .map(({ file, name }) => ({ name, results: resultsSchema.parse(require(join(directory, 'results', file))) }));
}

async function load(directory: string, file: string): Promise<unknown> {
  try {
    return await import(pathToFileURL(join(directory, file)).href);
  } catch (cause) {
    throw new SuiteError(`${directory} is no checkout of http-tests/cache-tests: ${file} can not be loaded`, { cause });
  }
}

/** Without undici the client would run, and its tests of interim responses fail for want of it. */
function requireDependency(directory: string): void {
  try {
    createRequire(join(directory, 'package.json')).resolve('undici');
  } catch (cause) {
    const command = `cd ${directory} && npm install --ignore-scripts`;
    throw new SuiteError(`the dependencies of the suite are not installed: run "${command}"`, { cause });
  }
}
