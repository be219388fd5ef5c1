#!/usr/bin/env node
import { createRequire } from 'node:module';
import { type CommandDefinition, runCommandLine } from './command.js';
import { endOnBrokenPipe } from './output.js';

/** THE table: every command there is, in the order `--help` shows them. Only the one that is asked for is loaded. */
const COMMANDS: ReadonlyMap<string, () => Promise<CommandDefinition>> = new Map([
  ['demo', async () => (await import('./demo.js')).demoCommand],
  ['serve', async () => (await import('./serve.js')).serveCommand],
  ['check', async () => (await import('./check.js')).checkCommand],
  ['get', async () => (await import('./get.js')).getCommand],
  ['set', async () => (await import('./set.js')).setCommand],
  ['purge', async () => (await import('./purge.js')).purgeCommand],
  ['explain', async () => (await import('./explain.js')).explainCommand],
  ['schema', async () => (await import('./schema.js')).schemaCommand],
  ['tls', async () => (await import('./tls.js')).tlsCommand],
  ['distcache', async () => (await import('./distcache.js')).distcacheCommand],
]);

const manifest = createRequire(import.meta.url)('lookaside/package.json');
const argv = process.argv.slice(2);
const asked = COMMANDS.get(argv[0] ?? '');
const loads = asked === undefined ? [...COMMANDS.values()] : [asked];
endOnBrokenPipe();
process.exitCode = await runCommandLine(
  await Promise.all(loads.map((load) => load())),
  {
    summary: 'A caching reverse proxy that keeps responses in memcached, and the tools that go with it.',
    version: manifest.version,
  },
  argv,
);
