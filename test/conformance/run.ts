import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { startLookaside } from '../support/lookaside.js';
import { type Memcached, startMemcached } from '../support/memcached.js';
import { packageRoot } from '../support/root.js';
import { runClient, runOneTest, startOrigin } from './processes.js';
import {
  type ConformanceRecord,
  compare,
  PROFILES,
  type Profile,
  type RecordedRun,
  recordedRun,
  recordSchema,
  STORES,
  type StoreKind,
  scoreOfRun,
} from './record.js';
import { count, type Score, scoreOf } from './score.js';
import { openSuite, type Suite, SuiteError } from './suite.js';
import { bySuite, type Column, markdown, notPassed, summary } from './table.js';

const USAGE = `Usage: node build/test/conformance/run.js CHECKOUT [options]

Runs http-tests/cache-tests, of which CHECKOUT is a checkout, against "lookaside serve".

  --store memcached|embedded   where responses are kept (default: memcached)
  --profile rfc|safe           (default: rfc)
  --test ID                    one test only, with everything that is sent
  --record                     keep the numbers, and write them into the README

Ends with 1 when fewer required or optimal tests pass than are recorded.
`;

const RECORD_FILE = join(packageRoot, 'test', 'conformance', 'recorded.json');
const README_FILE = join(packageRoot, 'test', 'conformance', 'README.md');

const optionsSchema = z.object({
  store: z.enum(STORES).default('memcached'),
  profile: z.enum(PROFILES).default('rfc'),
  test: z.string().optional(),
  record: z.boolean().default(false),
});

class UsageError extends Error {}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function main(): Promise<number> {
  const { checkout, store, profile, test, record } = readArguments();
  const suite = await openSuite(checkout);
  if (test !== undefined) {
    print(await againstLookaside(suite, { store, profile, level: 'debug' }, (url) => runOneTest(suite, url, test)));
    return 0;
  }
  // tests in which the origin breaks off are worth a warning each
  const results = await againstLookaside(suite, { store, profile, level: 'error' }, (url) => runClient(suite, url));
  const score = scoreOf(suite, results);
  print(`${bySuite(suite.groups, score)}\n\n${summary(suite.groups, score)}\n`);
  const run = recordedRun(suite.groups, score);
  const recorded = recordSchema.parse(JSON.parse(await readFile(RECORD_FILE, 'utf8')));
  if (record) {
    await keep({ ...recorded, [store]: { ...recorded[store], [profile]: run } }, suite);
    return 0;
  }
  return judge(suite, run, recorded[store]?.[profile]);
}

function readArguments() {
  const parsed = parse();
  const [checkout, ...more] = parsed.positionals;
  if (checkout === undefined || more.length > 0) throw new UsageError('name one checkout of the suite');
  const options = optionsSchema.safeParse(parsed.values);
  if (!options.success) throw new UsageError(z.prettifyError(options.error));
  return { checkout, ...options.data };
}

function parse() {
  const option = { type: 'string' } as const;
  try {
    return parseArgs({
      allowPositionals: true,
      options: { store: option, profile: option, test: option, record: { type: 'boolean' } },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

interface CacheSettings {
  readonly store: StoreKind;
  readonly profile: Profile;
  readonly level: LogLevel;
}

type LogLevel = 'debug' | 'error';

/** Starts everything, lets `use` work on the URL of the cache, and ends everything again. */
async function againstLookaside<Result>(
  suite: Suite,
  { store, profile, level }: CacheSettings,
  use: (url: string) => Promise<Result>,
): Promise<Result> {
  const memcached = store === 'memcached' ? await startMemcached() : undefined;
  const origin = await startOrigin(suite);
  try {
    const served = await startLookaside({ config: configuration(origin.url, profile, level, memcached) });
    try {
      return await use(served.url);
    } finally {
      await served.stop();
      process.stderr.write(served.log());
    }
  } finally {
    await origin.stop();
    await memcached?.stop();
  }
}

function configuration(origin: string, profile: Profile, level: LogLevel, memcached: Memcached | undefined): string {
  return JSON.stringify({
    listen: '127.0.0.1:0',
    log: { level },
    memcached: memcached && { servers: [memcached.server] },
    actions: { 'memcached.cache': { profile, chain: { proxy: origin } } },
  });
}

function judge(suite: Suite, run: RecordedRun, recorded: RecordedRun | undefined): number {
  if (recorded === undefined) {
    print('Nothing is recorded to compare with.');
    return 0;
  }
  const { isBelow, lost, gained } = compare(suite.groups, run, recorded);
  for (const id of lost) print(`not passed any more: ${id} (${run.notPassed[id]})`);
  for (const id of gained) print(`newly passed: ${id}`);
  print(`recorded: ${recorded.required} required, ${recorded.optimal} optimal`);
  if (isBelow) print('The numbers are below the recorded ones.');
  return isBelow ? 1 : 0;
}

async function keep(record: ConformanceRecord, suite: Suite): Promise<void> {
  await writeFile(RECORD_FILE, `${JSON.stringify(record, null, 2)}\n`);
  const readme = await readFile(README_FILE, 'utf8');
  const own = ownColumns(record, suite);
  const tables = [markdown(suite.groups, [...own, ...publishedColumns(suite)]), notPassed(suite.groups, own)];
  const marked = /(?<=<!-- table -->\n)[\s\S]*(?=<!-- end of table -->)/;
  if (!marked.test(readme)) throw new Error(`${README_FILE} has no place for the table`);
  await writeFile(
    README_FILE,
    readme.replace(marked, () => `\n${tables.join('\n\n')}\n\n`),
  );
}

function ownColumns(record: ConformanceRecord, { groups }: Suite): Column[] {
  return STORES.flatMap((store) =>
    PROFILES.flatMap((profile) => {
      const run = record[store]?.[profile];
      return run === undefined ? [] : [{ name: `lookaside ${profile}, ${store}`, score: scoreOfRun(groups, run) }];
    }),
  );
}

/** The best first. */
function publishedColumns({ groups, published, ...suite }: Suite): Column[] {
  const passed = ({ score }: { readonly score: Score }) =>
    count(groups, 'required', score).passed + count(groups, 'optimal', score).passed;
  return published
    .map(({ name, results }) => ({ name, score: scoreOf({ groups, ...suite }, results) }))
    .sort((a, b) => passed(b) - passed(a));
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof UsageError) process.stderr.write(`${error.message}\n\n${USAGE}`);
  else if (error instanceof SuiteError) process.stderr.write(`${error.message}\n`);
  else throw error;
  process.exitCode = 2;
}
