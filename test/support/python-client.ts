import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { packageRoot } from './root.js';

/** A backend in Python, with pymemcache, that knows of Lookaside what the documentation says. */
export interface PythonClient {
  /** Calls a method of pymemcache's Client with JSON's idea of its arguments, and resolves to its result. */
  call(method: 'delete' | 'incr' | 'flush_all', ...args: readonly (string | number)[]): Promise<unknown>;
  stop(): Promise<void>;
}

const PROGRAM = `
import json, sys
from pymemcache.client.base import Client
host, port = sys.argv[1].rsplit(':', 1)
client = Client((host, int(port)), timeout=5, connect_timeout=5, default_noreply=False)
for line in sys.stdin:
    method, *args = json.loads(line)
    print(json.dumps(getattr(client, method)(*args)), flush=True)
`;

/** Starts one for the memcached at `server` (host:port). */
export function startPythonClient(server: string): PythonClient {
  const child: ChildProcess = spawn('/usr/bin/python3', ['-c', PROGRAM, server], {
    cwd: packageRoot,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('python3 has no pipes');
  const lines = createInterface(stdout)[Symbol.asyncIterator]();
  return {
    async call(...command) {
      stdin.write(`${JSON.stringify(command)}\n`);
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`python3 has ended instead of ${command.join(' ')}`);
      return JSON.parse(value);
    },
    async stop() {
      process.off('exit', kill);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      stdin.end();
      await exited;
    },
  };
}
