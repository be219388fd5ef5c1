import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { cpuMicroseconds, LOAD_CORE } from './process.js';

const run = promisify(execFile);

/** What one round of load measured. */
export interface Sample {
  readonly requestsPerSecond: number;
  /** CPU the server used for a request, in µs. */
  readonly serverMicroseconds: number;
  /** CPU memcached used for a request, in µs; 0 where there is none. */
  readonly memcachedMicroseconds: number;
}

export interface Target {
  readonly url: string;
  readonly serverPids: readonly number[];
  readonly memcachedPid?: number | undefined;
}

/** wrk against `target`; every answer must be a 200, or the round is worth nothing and throws. */
export async function load(
  target: Target,
  { seconds, connections, script }: { seconds: number; connections: number; script?: string | undefined },
): Promise<Sample> {
  const serverBefore = total(target.serverPids);
  const memcachedBefore = total(target.memcachedPid === undefined ? [] : [target.memcachedPid]);
  const scriptArgs = script === undefined ? [] : ['-s', script];
  const { stdout } = await run('taskset', [
    ...['-c', String(LOAD_CORE), 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, ...scriptArgs],
    target.url,
  ]);
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  const requestsPerSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
  if (!(requests > 0) || /Non-2xx|Socket errors/.test(stdout)) throw new Error(`${target.url}:\n${stdout}`);
  return {
    requestsPerSecond,
    serverMicroseconds: (total(target.serverPids) - serverBefore) / requests,
    memcachedMicroseconds:
      (total(target.memcachedPid === undefined ? [] : [target.memcachedPid]) - memcachedBefore) / requests,
  };
}

function total(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMicroseconds(pid), 0);
}
