/**
 * How much memory `lookaside serve` takes for many large misses at a time: `node build/bench/memory.js [CLIENTS] [MIB]`.
 *
 * Every client asks for another large body at the same moment. Most read as fast as they can, every tenth reads nothing
 * until the others are done: what waits for it must wait in the sockets, not in our memory.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { LOAD_CORE, pinned, SERVER_CORE } from './process.js';

const CLIENTS = Number(process.argv[2] ?? 1000);
const MIB = Number(process.argv[3] ?? 10);
const SLOW_EVERY = 10;

const script = (path: string) => fileURLToPath(new URL(path, import.meta.url));

function memoryMib(pid: number, field: 'VmHWM' | 'VmRSS'): number {
  const [, kib] = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kib) / 1024);
}

/** Asks for `path`; resolves to the bytes received when the connection ends. Slow clients start to read at `startReading`. */
function client(url: URL, path: string, startReading?: Promise<void>): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(url.port), url.hostname);
    let bytes = 0;
    socket.on('error', reject);
    socket.on('close', () => resolve(bytes));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`);
    const read = () =>
      socket.on('data', (chunk) => {
        bytes += chunk.length;
      });
    if (startReading === undefined) read();
    else startReading.then(read, reject);
  });
}

const origin = await pinned(LOAD_CORE, process.execPath, [script('servers/origin.js'), String(MIB * 1024 * 1024)]);
const server = await pinned(SERVER_CORE, process.execPath, [
  ...[script('../src/cli/main.js'), 'serve', '--listen', '127.0.0.1:0', '--upstream', origin.ready],
]);
const url = new URL(server.ready.replace(/^.* on /, ''));
const idle = memoryMib(server.pid, 'VmRSS');
const started = performance.now();

let fastDone = () => {};
const afterTheFast = new Promise<void>((resolve) => {
  fastDone = resolve;
});
const all = Array.from({ length: CLIENTS }, (_, n) =>
  client(url, `/${n}`, n % SLOW_EVERY === 0 ? afterTheFast : undefined),
);
await Promise.all(all.filter((_, n) => n % SLOW_EVERY !== 0));
const withSlowWaiting = memoryMib(server.pid, 'VmRSS');
fastDone();
const received = await Promise.all(all);
const short = received.filter((bytes) => bytes < MIB * 1024 * 1024).length;

console.log(
  `${CLIENTS} clients at once, ${MIB} MiB each, every ${SLOW_EVERY}th not reading until the others are done:`,
);
console.log(
  `RSS idle ${idle} MiB, with the slow ones waiting ${withSlowWaiting} MiB, at its highest ${memoryMib(server.pid, 'VmHWM')} MiB`,
);
console.log(`${short} incomplete answers, ${Math.round((performance.now() - started) / 1000)} s`);
await server.stop();
await origin.stop();
process.exitCode = short === 0 ? 0 : 1;
