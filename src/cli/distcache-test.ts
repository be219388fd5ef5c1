import { z } from 'zod';
import { DistcacheClient } from '../distcache/client.js';
import { TEST_FAILURES } from '../distcache/expectation.js';
import { ADD_HEADER_BYTES } from '../distcache/payload.js';
import { percentile, Tester, type TestPlan, type TestReport } from '../distcache/tester.js';
import { MAX_PAYLOAD_BYTES } from '../distcache/wire.js';
import { type CTool, runCTool } from './c-flags.js';
import { integer, reasonOf } from './distcache-service.js';
import { EXIT, type ExitCode } from './exit.js';
import { complain } from './output.js';
import { ProgressBar } from './progress-bar.js';

/** The C program's limits. */
const MAX_SESSIONS = 512;
const MAX_OPERATIONS = 1_000_000;
const MAX_TIMEOUT_SECONDS = 3600;
const MIN_DATA_BYTES = 4;

/** What fits a message with the longest id of the test. The C program's limit is 4096. */
const MAX_DATA_BYTES = MAX_PAYLOAD_BYTES - ADD_HEADER_BYTES - 63;

const UINT32_MAX = 0xffff_ffff;

const schema = z.strictObject({
  connect: z.string().optional(),
  progress: integer(0, MAX_OPERATIONS).optional(),
  sessions: integer(0, UINT32_MAX).default(10),
  datamin: integer(0, UINT32_MAX).default(50),
  datamax: integer(0, UINT32_MAX).default(2100),
  timeout: integer(0, MAX_TIMEOUT_SECONDS).default(60),
  timevar: integer(0, UINT32_MAX).default(5),
  ops: integer(0, MAX_OPERATIONS).optional(),
  persistent: z.literal(true).optional(),
  concurrency: integer(1, MAX_SESSIONS).default(1),
  seed: integer(0, UINT32_MAX).optional(),
  expiry: z.literal(true).optional(),
  lossy: z.literal(true).optional(),
});

type Options = z.output<typeof schema>;

const TOOL: CTool<typeof schema> = {
  name: 'dc_test',
  dashes: '--',
  schema,
  flags: [
    { name: 'connect', value: 'addr', help: 'server or proxy to test: UNIX:path, IP:host:port or IP:[IPv6]:port' },
    { name: 'progress', value: 'num', help: 'report each time so many operations were done (default: 0 = never)' },
    { name: 'sessions', value: 'num', help: `sessions to work with, at most ${MAX_SESSIONS} (default: 10)` },
    { name: 'datamin', value: 'num', help: `bytes of the smallest session, at least ${MIN_DATA_BYTES} (default: 50)` },
    { name: 'datamax', value: 'num', help: `bytes of the largest, at most ${MAX_DATA_BYTES} (default: 2100)` },
    { name: 'timeout', value: 'secs', help: 'how long sessions live (default: 60)' },
    { name: 'timevar', value: 'secs', help: 'more or less so much (default: 5)' },
    { name: 'ops', value: 'num', help: 'operations to do (default: 10 times the square of the sessions)' },
    { name: 'persistent', help: 'use one connection instead of one for each operation' },
    {
      name: 'concurrency',
      value: 'num',
      help: 'operations under way at a time, on connections of their own (default: 1)',
    },
    { name: 'seed', value: 'num', help: 'what makes all the choices, to repeat a test (default: another each time)' },
    { name: 'expiry', help: 'fail also when a session is still there after its time' },
    { name: 'lossy', help: 'go on without an answer, and when sessions get lost; fail when an answer is wrong' },
  ],
};

/** `dc_test`, and `lookaside distcache test`. */
export function runDistcacheTest(argv: readonly string[]): Promise<ExitCode> {
  return runCTool(TOOL, argv, async (options) => {
    const fault = faultIn(options);
    if (fault === undefined) return test(options);
    complain(`Error, ${fault}`);
    return EXIT.no;
  });
}

/** The first thing that is wrong with the options together, in the C program's order. */
function faultIn({ connect, sessions, timevar, timeout, datamin, datamax, concurrency }: Options): string | undefined {
  if (connect === undefined) return 'must provide -connect';
  if (sessions < 1 || sessions > MAX_SESSIONS) return `-sessions should be from 1 to ${MAX_SESSIONS}`;
  if (timevar >= timeout) return '-timevar must be strictly smaller than -timeout';
  if (datamin < MIN_DATA_BYTES) return `-datamin should be at least ${MIN_DATA_BYTES}`;
  if (datamax > MAX_DATA_BYTES) return `-datamax should be at most ${MAX_DATA_BYTES}`;
  if (concurrency > sessions) return '-concurrency should be at most -sessions';
  return undefined;
}

async function test(options: Options): Promise<ExitCode> {
  const { connect: address = '', persistent = false, concurrency } = options;
  const clients: DistcacheClient[] = [];
  try {
    while (clients.length < concurrency) clients.push(await DistcacheClient.connect({ address, persistent }));
  } catch (error) {
    await closeAll(clients);
    complain(`Error, 'DC_CTX' creation failed\nInfo, the reason: ${reasonOf(error)}`);
    return EXIT.no;
  }
  try {
    const report = await run(clients, planOf(options), options.progress);
    return report.failure === undefined ? EXIT.ok : EXIT.no;
  } finally {
    await closeAll(clients);
  }
}

async function closeAll(clients: readonly DistcacheClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.close()));
}

async function run(
  clients: readonly DistcacheClient[],
  plan: TestPlan,
  progress: number | undefined,
): Promise<TestReport> {
  complain(`Info, ${plan.sessions} sessions generated, will run ${plan.operations} random tests`);
  const bar = process.stderr.isTTY && progress === undefined ? new ProgressBar(plan.operations) : undefined;
  const tester = new Tester(plan);
  const stop = () => tester.stop();
  process.once('SIGINT', stop);
  const report = await tester.run(clients, (succeeded) => {
    bar?.advance(succeeded);
    if (progress && succeeded % progress === 0) complain(`Info, total operations = ${String(succeeded).padStart(7)}`);
  });
  process.off('SIGINT', stop);
  bar?.clear();
  for (const line of linesOf(report, plan)) complain(line);
  return report;
}

function planOf(options: Options): TestPlan {
  const { sessions, datamin, datamax, timeout, timevar, concurrency } = options;
  return {
    sessions,
    operations: options.ops ?? 10 * sessions ** 2,
    dataMin: datamin,
    dataMax: datamax,
    timeout,
    timeoutSpread: timevar,
    concurrency,
    seed: options.seed ?? Math.floor(Math.random() * (UINT32_MAX + 1)),
    strictExpiry: options.expiry === true,
    lossy: options.lossy === true,
  };
}

/** The C program's lines, and what only this one says behind them. */
function linesOf(report: TestReport, { operations, seed, lossy }: TestPlan): string[] {
  const { failure, cause, succeeded, elapsedMs, latencies } = report;
  if (failure !== undefined) {
    return [
      `Error, ${TEST_FAILURES[failure]}`,
      `Info, ${succeeded} tests succeeded before the first failure`,
      ...(cause === undefined ? [] : [`Info, the reason: ${cause.message}`]),
      `Info, -seed ${seed} repeats this test`,
    ];
  }
  const [p50 = '', p90 = '', p99 = '', max = ''] = [0.5, 0.9, 0.99, 1].map((part) =>
    percentile(latencies, part).toFixed(3),
  );
  return [
    succeeded === operations
      ? 'Info, all tests complete'
      : `Info, interrupted after ${succeeded} of ${operations} tests`,
    ...(lossy ? [`Info, ${report.unanswered} without an answer, ${report.lost} as if sessions were lost`] : []),
    `Info, ${Math.round((succeeded / elapsedMs) * 1000)} operations per second, latency ${p50} ms (median), ${p90} (90%), ${p99} (99%), ${max} (max)`,
  ];
}
