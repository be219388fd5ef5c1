#!/usr/bin/env node
import { runDistcacheServer } from './distcache-server.js';

process.exitCode = await runDistcacheServer(process.argv.slice(2));
