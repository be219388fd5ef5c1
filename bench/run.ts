/**
 * `npm run bench`: what a hit and a miss cost, next to plain Fastify, `@fastify/http-proxy` and nginx, in one run.
 *
 * Candidates take turns in every round, so that a noisy neighbour hits all of them; medians and ratios are what counts.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as candidates from './candidates.js';
import { load, type Sample } from './load.js';
import { which } from './process.js';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 3);
const CONNECTIONS = 64;

interface Question {
  readonly title: string;
  readonly bytes: number;
  readonly candidates: readonly candidates.Candidate[];
  /** wrk script that makes every request another one. */
  readonly script?: string;
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const nginxWhenInstalled = candidates.nginxInstalled() ? [candidates.nginx] : [];
const hits = [
  candidates.fastifyConstant,
  candidates.embedded,
  candidates.memcached,
  candidates.plugin,
  ...nginxWhenInstalled,
];
const misses = [candidates.httpProxy, candidates.embedded, candidates.memcached];
const unique = join(root, 'bench', 'unique-urls.lua');

const QUESTIONS: readonly Question[] = [
  { title: 'Hit, 1 KiB', bytes: 1024, candidates: hits },
  { title: 'Hit, 16 KiB', bytes: 16 * 1024, candidates: hits },
  { title: 'Miss, 1 KiB', bytes: 1024, candidates: misses, script: unique },
  { title: 'Miss, 16 KiB', bytes: 16 * 1024, candidates: misses, script: unique },
];

async function answer({ candidates, bytes, script }: Question): Promise<Map<string, Sample[]>> {
  const samples = new Map<string, Sample[]>();
  const started = await Promise.all(
    candidates.map(async (candidate) => ({ candidate, running: await candidate.start(bytes) })),
  );
  try {
    for (const { running } of started) await load(running, { seconds: 1, connections: CONNECTIONS, script });
    for (let round = 0; round < ROUNDS; round++) {
      for (const { candidate, running } of started) {
        const sample = await load(running, { seconds: SECONDS, connections: CONNECTIONS, script });
        samples.set(candidate.name, [...(samples.get(candidate.name) ?? []), sample]);
      }
    }
  } finally {
    for (const { running } of started) await running.stop();
  }
  return samples;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return ((sorted[Math.floor((sorted.length - 1) / 2)] ?? 0) + (sorted[Math.ceil((sorted.length - 1) / 2)] ?? 0)) / 2;
}

/** Ratios are taken within a round, against the first candidate, before their median is. */
function table({ title }: Question, samples: ReadonlyMap<string, readonly Sample[]>): string {
  const [reference = []] = samples.values();
  const rows = [...samples].map(([name, of]) => {
    const rates = of.map((sample) => sample.requestsPerSecond);
    const ratio = median(rates.map((rate, round) => rate / (reference[round]?.requestsPerSecond ?? Number.NaN)));
    const cpu = `${median(of.map((s) => s.serverMicroseconds)).toFixed(1)} + ${median(of.map((s) => s.memcachedMicroseconds)).toFixed(1)}`;
    const spread = `${Math.round(Math.min(...rates)).toLocaleString('en')}–${Math.round(Math.max(...rates)).toLocaleString('en')}`;
    return `| ${name} | ${Math.round(median(rates)).toLocaleString('en')} | ${spread} | ${cpu} | ${ratio.toFixed(2)} |`;
  });
  const head = '| server | req/s | spread | CPU µs (server + memcached) | ratio |\n|---|---|---|---|---|';
  return `## ${title}\n\n${head}\n${rows.join('\n')}\n`;
}

function machine(): string {
  const versions = [`Node ${process.version}`, first('memcached', '-V'), first('wrk', '-v'), first('nginx', '-v')];
  return `${cpus().length} cores, ${cpus()[0]?.model.trim()}; ${versions.filter((text) => text !== '').join(', ')}`;
}

/** First line that `command` prints about itself, whichever stream and exit code it chooses. */
function first(command: string, flag: string): string {
  if (which(command) === undefined) return '';
  return execFileSync('sh', ['-c', `${command} ${flag} 2>&1 | head -n 1 | cut -d' ' -f1-3`], {
    encoding: 'utf8',
  }).trim();
}

if (which('wrk') === undefined) {
  process.stderr.write(
    'lookaside: the benchmarks need wrk: apt-get install wrk (and nginx-light, to compare with nginx)\n',
  );
  process.exit(1);
}

const sections: string[] = [];
for (const question of QUESTIONS) {
  const section = table(question, await answer(question));
  console.log(section);
  sections.push(section);
}
const preface = `# What a request costs

Made by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}: ${machine()}.
Server on one core; wrk (${CONNECTIONS} connections, keep-alive), memcached (\`-t 1\`) and origin on the other. ${ROUNDS} rounds of ${SECONDS} s in which
the candidates take turns; medians, and in the last column the median of the ratios to the first line within each round. CPU is user and
system time as the kernel counts it, per request. Absolute figures move with the machine; the ratios and the CPU are what counts.
`;
const notes = candidates.nginxInstalled()
  ? ''
  : '\nnginx was not installed (`apt-get install nginx-light`), so there is no line for it.\n';
writeFileSync(join(root, 'bench', 'RESULTS.md'), `${preface}${notes}\n${sections.join('\n')}`);
