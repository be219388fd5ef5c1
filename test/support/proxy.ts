import { Writable } from 'node:stream';
import { pino } from 'pino';
import { settingsOf } from '../../src/config/load.js';
import type { Config, Settings } from '../../src/config/schema.js';
import { createProxy, type ProxyServer } from '../../src/proxy/server.js';

/** A proxy in the process of the test. */
export interface TestProxy extends ProxyServer {
  /** Where it listens first. */
  readonly url: string;
  /** What it logged, one object a line. */
  readonly lines: readonly { readonly level: number; readonly msg: string; readonly [name: string]: unknown }[];
}

/** Starts the proxy with `config`, listening on an ephemeral port unless that says otherwise. */
export async function startProxy(config: Config): Promise<TestProxy> {
  return startProxyWith(testSettings(config));
}

export function testSettings(config: Config): Settings {
  return settingsOf({ listen: '127.0.0.1:0', ...config }, 'test');
}

export async function startProxyWith(settings: Settings): Promise<TestProxy> {
  const lines: TestProxy['lines'][number][] = [];
  const sink = new Writable({
    write(line: Buffer, _encoding, done) {
      lines.push(JSON.parse(line.toString()));
      done();
    },
  });
  const proxy = await createProxy(settings, { log: pino({ level: settings.log.level }, sink) });
  return {
    urls: proxy.urls,
    url: proxy.urls[0] ?? '',
    managementUrl: proxy.managementUrl,
    lines,
    reload: (next) => proxy.reload(next),
    close: () => proxy.close(),
  };
}
