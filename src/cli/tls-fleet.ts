import { z } from 'zod';
import { fileText } from '../actions/file-text.js';
import { durationSeconds } from '../actions/units.js';
import { loadConfig } from '../config/load.js';
import type { Settings } from '../config/schema.js';
import { secretFileSchema } from '../config/secret.js';
import type { CertifiedKey } from '../config/tls-files.js';
import type { Store } from '../store/store.js';
import { DEFAULT_ROTATE_SECONDS, FLEET_NAME } from '../tls/options.js';
import type { TicketKeyMode } from '../tls/ticket-keys.js';
import { kebabCase, type Option } from './command.js';
import { UsageError } from './exit.js';
import { memcachedOptions, openConfigured, openMemcached, SERVER_OPTIONS } from './memcached.js';

/** A fleet as the command line sees it: what lies in memcached, and what is needed to read it. */
export interface FleetInView {
  readonly name: string;
  readonly store: Store;
  /** None when nobody said where they are. */
  readonly secrets: readonly string[];
  readonly ticketKeys: TicketKeyMode | false;
  readonly rotateSeconds: number;
  /** The certificates, each with its chain, as PEM. */
  readonly chains: readonly string[];
  /** The OCSP responder in place of those in the certificates. */
  readonly responder: string | undefined;
}

export const FLEET_OPTIONS: readonly Option[] = [
  ...SERVER_OPTIONS,
  { flags: '--fleet <name>', help: 'name of the fleet (default: default)' },
  { flags: '--tls-secret-file <file>', help: 'file with the secret of the fleet, for keys' },
  { flags: '--rotate <duration>', help: 'how long a ticket key seals, for keys (default: 2h)' },
  { flags: '--tls-cert <file>', help: 'certificate with its chain, for staples; may be repeated', isRepeatable: true },
  { flags: '--responder <url>', help: 'the OCSP responder, for staples of certificates that name none' },
];

export const fleetOptions = {
  memcached: memcachedOptions.memcached,
  config: memcachedOptions.config,
  fleet: z.string().regex(FLEET_NAME, { error: 'expected 1 to 64 of A-Z a-z 0-9 . _ -' }).optional(),
  tlsSecretFile: secretFileSchema.optional(),
  rotate: durationSeconds({ min: '1s', max: '7d' }).optional(),
  tlsCert: z.array(fileText).optional(),
  responder: z.url({ protocol: /^http$/, error: 'expected an http: URL' }).optional(),
};

type FleetOptions = z.output<z.ZodObject<typeof fleetOptions>>;

/** Runs `use` with the fleet that the options name, and lets go of its store. */
export async function withFleet<Result>(
  options: FleetOptions,
  use: (fleet: FleetInView) => Promise<Result>,
): Promise<Result> {
  const fleet = await fleetIn(options);
  try {
    return await use(fleet);
  } finally {
    await fleet.store.close();
  }
}

async function fleetIn(options: FleetOptions): Promise<FleetInView> {
  const { memcached, config, ...given } = options;
  if (config !== undefined) {
    const surplus = Object.entries({ memcached, ...given }).find(([, value]) => value !== undefined);
    if (surplus !== undefined) throw new UsageError(`--config says everything: leave --${kebabCase(surplus[0])} out`);
    return configuredFleet(config, await loadConfig(config));
  }
  return {
    name: given.fleet ?? 'default',
    store: await openMemcached({ memcached }),
    secrets: given.tlsSecretFile ?? [],
    ticketKeys: 'shared',
    rotateSeconds: given.rotate ?? DEFAULT_ROTATE_SECONDS,
    chains: given.tlsCert ?? [],
    responder: given.responder,
  };
}

function configuredFleet(config: string, { tls, memcached }: Settings): FleetInView {
  if (tls === undefined) throw new UsageError(`${config} has no tls section`);
  const { fleet: name, secrets, ticketKeys, rotateSeconds, stapling, contexts } = tls;
  const pairs: readonly CertifiedKey[] = [tls, ...contexts];
  return {
    name,
    store: openConfigured(memcached, { config }),
    secrets,
    ticketKeys,
    rotateSeconds,
    chains: pairs.map(({ cert }) => cert.text),
    responder: stapling === false ? undefined : stapling.responder,
  };
}
