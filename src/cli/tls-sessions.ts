import { fleetCounts } from '../tls/fleet-counters.js';
import { Generation } from '../tls/generation.js';
import { SESSION_METRICS } from '../tls/metrics.js';
import { EXIT, type ExitCode } from './exit.js';
import { printJson, printLine } from './output.js';
import type { FleetInView } from './tls-fleet.js';

/** What the servers of the fleet have counted of the session store, all of them together. */
export async function sessionsInfo({ name, store }: FleetInView, json: boolean): Promise<ExitCode> {
  const counts = await fleetCounts(store, name);
  if (json) {
    await printJson({ fleet: name, ...counts });
    return EXIT.ok;
  }
  for (const [counter, { help }] of Object.entries(SESSION_METRICS)) {
    const value = Object.entries(counts).find(([key]) => key === counter)?.[1] ?? 0;
    await printLine(`${counter.padEnd(26)} ${String(value).padStart(12)}  ${help}`);
  }
  return EXIT.ok;
}

/** Makes every session in the store unreachable. Those in tickets are the clients' own: see `keys rotate`. */
export async function sessionsClear({ name, store }: FleetInView, json: boolean): Promise<ExitCode> {
  await new Generation(store, name).clear();
  await (json ? printJson({ fleet: name, cleared: true }) : printLine(`no session of "${name}" is resumed any more`));
  return EXIT.ok;
}
