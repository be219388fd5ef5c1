#!/usr/bin/env node
import { runDistcacheSnoop } from './distcache-snoop.js';
import { endOnBrokenPipe } from './output.js';

endOnBrokenPipe();
process.exitCode = await runDistcacheSnoop(process.argv.slice(2));
