import { type Fleet, fleetOf } from '../tls/options.js';
import { TicketKeyEntries } from '../tls/ticket-key-entries.js';
import { EXIT, type ExitCode, UsageError } from './exit.js';
import { printJson, printLine } from './output.js';
import type { FleetInView } from './tls-fleet.js';

/** The ticket keys that the fleet has agreed on, by the names that their tickets carry. "No" when it has none for now. */
export async function keysInfo(fleet: FleetInView, json: boolean): Promise<ExitCode> {
  const entries = entriesOf(fleet);
  const now = entries.epochAt(Date.now());
  const keys = await Promise.all([now - 1, now, now + 1].map((epoch) => describe(entries, epoch, epoch - now)));
  if (json) await printJson(keys);
  else
    for (const { period, begins, ends, key } of keys) await printLine(`${period.padEnd(8)} ${begins} ${ends} ${key}`);
  return keys[1]?.isThere ? EXIT.ok : EXIT.no;
}

/** Gives the fleet another key for now. Tickets of the one before it are opened for the rest of its time. */
export async function keysRotate(fleet: FleetInView, json: boolean): Promise<ExitCode> {
  const { name } = await entriesOf(fleet).rotate(Date.now());
  const key = name.toString('hex');
  const text = `"${fleet.name}" seals with ${key} within half a minute`;
  await (json ? printJson({ fleet: fleet.name, key }) : printLine(text));
  return EXIT.ok;
}

async function describe(entries: TicketKeyEntries, epoch: number, distance: number) {
  const { key, item } = await entries.find(epoch);
  const otherwise = item === undefined ? 'none' : 'not sealed with this secret';
  return {
    period: ['previous', 'current', 'next'][distance + 1] ?? '',
    begins: iso(epoch * entries.rotateSeconds),
    ends: iso((epoch + 1) * entries.rotateSeconds),
    key: key?.name.toString('hex') ?? otherwise,
    isThere: key !== undefined,
  };
}

function entriesOf({ name, store, secrets, ticketKeys, rotateSeconds }: FleetInView): TicketKeyEntries {
  if (ticketKeys !== 'shared') {
    throw new UsageError(`this fleet has ticketKeys "${ticketKeys || 'off'}": there are none in memcached`);
  }
  if (secrets.length === 0) throw new UsageError('the keys are sealed: say with which secret, by --tls-secret-file');
  const fleet: Fleet = fleetOf({ store, secrets, fleet: name });
  return new TicketKeyEntries(fleet, rotateSeconds);
}

function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
