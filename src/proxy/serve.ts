import { type Logger, pino } from 'pino';
import { settingsOf } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { createProxy, type ProxyServer } from './server.js';

export interface ServeOptions {
  /** Where to log. Default: JSON lines on stderr, from the level the configuration says. */
  readonly log?: Logger;
}

/**
 * `lookaside serve` from code: starts the standalone server that `config` describes, in this process. The configuration's
 * `workers` has no effect.
 *
 * Rejects with a `ConfigError` that lists everything wrong with the configuration, or with a `ListenError`.
 */
export async function serve(config: Config, options: ServeOptions = {}): Promise<ProxyServer> {
  const settings = settingsOf(config, 'config');
  return createProxy(settings, { log: options.log ?? standardLog(settings.log.level) });
}

/** JSON lines on stderr: stdout is for results. */
export function standardLog(level: string): Logger {
  return pino({ level }, pino.destination(2));
}
