#!/usr/bin/env node
import { createRequire } from 'node:module';
import { checkCommand } from './check.js';
import { type CommandDefinition, runCommandLine } from './command.js';
import { demoCommand } from './demo.js';
import { distcacheCommand } from './distcache.js';
import { explainCommand } from './explain.js';
import { getCommand } from './get.js';
import { endOnBrokenPipe } from './output.js';
import { purgeCommand } from './purge.js';
import { schemaCommand } from './schema.js';
import { serveCommand } from './serve.js';
import { setCommand } from './set.js';
import { tlsCommand } from './tls.js';

/** THE table: every command there is, in the order `--help` shows them. */
const COMMANDS: readonly CommandDefinition[] = [
  demoCommand,
  serveCommand,
  checkCommand,
  getCommand,
  setCommand,
  purgeCommand,
  explainCommand,
  schemaCommand,
  tlsCommand,
  distcacheCommand,
];

const manifest = createRequire(import.meta.url)('lookaside/package.json');
endOnBrokenPipe();
process.exitCode = await runCommandLine(
  COMMANDS,
  {
    summary: 'A caching reverse proxy that keeps responses in memcached, and the tools that go with it.',
    version: manifest.version,
  },
  process.argv.slice(2),
);
