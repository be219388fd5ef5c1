import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { z } from 'zod';
import { becomeUser, setSocketAccess } from '../distcache/account.js';
import { type Address, parseAddress } from '../distcache/address.js';
import { detached, startDetached, stopSignal, writePidFile } from '../distcache/daemon.js';
import type { Log } from '../distcache/limited-log.js';
import { type Listener, listen, socketServer } from '../distcache/listener.js';
import { metricsServer } from '../distcache/metrics-server.js';
import type { CFlag } from './c-flags.js';
import { EXIT, type ExitCode } from './exit.js';
import { complain } from './output.js';

/** What the two distcache daemons have in common: how they become one, and how they end. */

export const SERVICE_FLAGS: readonly CFlag[] = [
  { name: 'daemon', help: 'detach from the terminal once it serves' },
  { name: 'user', value: 'name', help: 'become this user, with the groups of this user' },
  { name: 'sockowner', value: 'user', help: 'owner of the unix socket' },
  { name: 'sockgroup', value: 'group', help: "group of the unix socket (default: the owner's)" },
  { name: 'sockperms', value: 'oct', help: 'permissions of the unix socket' },
  { name: 'pidfile', value: 'path', help: 'write the process id there; a daemon does so from /' },
  { name: 'killable', help: 'let SIGUSR1 and SIGUSR2 end it' },
  { name: 'metrics', value: 'addr', help: 'serve metrics for Prometheus there: GET /metrics' },
  { name: 'tls', help: 'talk TLS over TCP to the other side' },
  { name: 'tls-cert', value: 'file', help: 'PEM file of the certificate to show' },
  { name: 'tls-key', value: 'file', help: 'PEM file of the key of that certificate' },
  {
    name: 'tls-ca',
    value: 'file',
    help: "PEM file of the authorities that must have signed the other side's certificate",
  },
];

const toggle = z.literal(true).optional();

export const serviceSchema = {
  daemon: toggle,
  user: z.string().min(1).optional(),
  sockowner: z.string().min(1).optional(),
  sockgroup: z.string().min(1).optional(),
  sockperms: z
    .string()
    .regex(/^[0-7]{1,4}$/)
    .transform((text) => Number.parseInt(text, 8))
    .optional(),
  pidfile: z.string().min(1).optional(),
  killable: toggle,
  metrics: readBy(parseAddress).optional(),
  tls: toggle,
  'tls-cert': fileText().optional(),
  'tls-key': fileText().optional(),
  'tls-ca': fileText().optional(),
};

const options = z.object(serviceSchema);

export type ServiceOptions = z.output<typeof options>;

/** A value that `read` makes of the text, or throws at. */
export function readBy<Value>(read: (text: string) => Value) {
  return z.string().transform((text, check) => {
    try {
      return read(text);
    } catch (error) {
      check.issues.push({ code: 'custom', message: reasonOf(error), input: text });
      return z.NEVER;
    }
  });
}

/** The text of a file. */
export function fileText() {
  return readBy((path) => readFileSync(path, 'utf8'));
}

/** A decimal number. */
export function integer(min: number, max: number) {
  return z
    .string()
    .regex(/^[0-9]{1,10}$/)
    .transform(Number)
    .pipe(z.int().min(min).max(max));
}

/** What one of the daemons does. */
export interface Service {
  serve(socket: Socket): void;
  /** Its clients have to speak TLS. */
  readonly tls?: TlsOptions | undefined;
  /** For Prometheus. */
  metrics(): string | Promise<string>;
  close(): Promise<void>;
}

/**
 * Runs a daemon that listens on `where` until a signal ends it. `open` makes it, and may throw an error whose message is
 * for the operator; `say` is for what it says later.
 */
export async function runService(given: ServiceOptions, where: string, open: (say: Log) => Service): Promise<ExitCode> {
  const child = detached();
  if (given.daemon && child === undefined) return (await startDetached(complain)) === 0 ? EXIT.ok : EXIT.no;
  const say = child?.say ?? complain;
  // nobody reads any more: no reason to end
  process.stderr.on('error', () => {});
  const stopped = stopSignal({ killable: given.killable === true });
  const closers: (() => unknown)[] = [];
  try {
    const service = open(say);
    closers.push(() => service.close());
    const listener = await listenOn(where, service);
    closers.push(() => listener.close());
    if (given.metrics !== undefined) {
      const server = metricsServer(() => service.metrics());
      const metrics = await listen(server, given.metrics);
      closers.push(
        () => metrics.close(),
        () => server.closeAllConnections(),
      );
    }
    closers.push(settle(given, listener.address, say));
    child?.isServing();
    await stopped;
    return EXIT.ok;
  } catch (error) {
    say(`Error, ${reasonOf(error)}`);
    return EXIT.no;
  } finally {
    await Promise.all(closers.map((close) => close()));
  }
}

async function listenOn(where: string, service: Service): Promise<Listener> {
  try {
    const address = parseAddress(where);
    if (service.tls !== undefined && address.kind === 'unix') throw new Error('TLS is for TCP');
    return await listen(
      socketServer((socket) => service.serve(socket), service.tls),
      address,
    );
  } catch (error) {
    throw new Error(`can't listen on '${where}'\n${reasonOf(error)}`);
  }
}

/** Does what comes after binding, in the order of the C programs. Gives what undoes it. */
function settle(given: ServiceOptions, address: Address, say: Log): () => void {
  const access = { owner: given.sockowner, group: given.sockgroup, mode: given.sockperms };
  // what is no path has no owner either, and that is worth the same warning
  for (const warning of setSocketAccess(address.kind === 'unix' ? address.path : '', access)) say(warning);
  if (given.daemon) process.chdir('/');
  const removePidFile = given.pidfile === undefined ? () => {} : writePidFile(given.pidfile);
  if (given.user !== undefined) becomeUser(given.user);
  return removePidFile;
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
