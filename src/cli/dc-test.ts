#!/usr/bin/env node
import { runDistcacheTest } from './distcache-test.js';

process.exitCode = await runDistcacheTest(process.argv.slice(2));
