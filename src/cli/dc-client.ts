#!/usr/bin/env node
import { runDistcacheClient } from './distcache-client.js';

process.exitCode = await runDistcacheClient(process.argv.slice(2));
