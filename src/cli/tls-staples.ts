import { REFUSALS } from '../tls/ocsp-verify.js';
import { type StapleInfo, stapleInfo } from '../tls/staple-info.js';
import { OBSTACLES } from '../tls/stapled-certificate.js';
import { Staples } from '../tls/staples.js';
import { EXIT, type ExitCode, UsageError } from './exit.js';
import { printJson, printLine } from './output.js';
import type { FleetInView } from './tls-fleet.js';

/**
 * What the fleet has of the staple of each certificate. "No" when one that names a responder has none that says that it is
 * good.
 */
export async function staplesInfo({ name, store, chains, responder }: FleetInView, json: boolean): Promise<ExitCode> {
  if (chains.length === 0) throw new UsageError('say of which certificates: --tls-cert FILE or --config FILE');
  const found = await Promise.all(chains.map((chain) => stapleInfo({ name, store }, chain, { responder })));
  const infos = found.filter((info) => info !== undefined);
  if (infos.length < chains.length) throw new UsageError('one of the files has no certificate in PEM');
  if (json) await printJson(infos.map(inJson));
  else for (const info of infos) await printLine(inText(info));
  return infos.some(isMissing) ? EXIT.no : EXIT.ok;
}

/** Forgets all staples of the fleet; its servers get new ones, and go on with what they have until then. */
export async function staplesClear({ name, store }: FleetInView, json: boolean): Promise<ExitCode> {
  await new Staples({ name, store }).clear();
  await (json ? printJson({ fleet: name, cleared: true }) : printLine(`the staples of "${name}" are fetched anew`));
  return EXIT.ok;
}

/** Has the fleet look for newer staples; what is there stays until there is one. */
export async function staplesRefresh({ name, store }: FleetInView, json: boolean): Promise<ExitCode> {
  await new Staples({ name, store }).refresh();
  await (json ? printJson({ fleet: name, refreshing: true }) : printLine(`"${name}" looks for newer staples`));
  return EXIT.ok;
}

function isMissing({ certificate, shared }: StapleInfo): boolean {
  if ('obstacle' in certificate) return certificate.isMustStaple;
  return shared === undefined || !('status' in shared) || shared.status !== 'good';
}

function inJson({ certificate, shared, lock }: StapleInfo) {
  const { fingerprint, isMustStaple: mustStaple } = certificate;
  const about = { fingerprint, mustStaple };
  if ('obstacle' in certificate) return { ...about, staple: 'none', reason: certificate.obstacle };
  const lately = { lock };
  if (shared === undefined) return { ...about, staple: 'none', ...lately };
  if ('refusal' in shared) return { ...about, staple: 'refused', reason: shared.refusal, ...lately };
  const { status, thisUpdateMs, nextUpdateMs } = shared;
  return { ...about, staple: status, thisUpdate: iso(thisUpdateMs), nextUpdate: iso(nextUpdateMs), ...lately };
}

function inText({ certificate, shared, lock }: StapleInfo): string {
  const { fingerprint, isMustStaple } = certificate;
  const lately = lock === undefined ? '' : `; ${lock.state}, left alone for ${lock.seconds} s more`;
  return `${fingerprint}${isMustStaple ? ' (must staple)' : ''}: ${said()}${lately}`;

  function said(): string {
    if ('obstacle' in certificate) return `none: ${OBSTACLES[certificate.obstacle]}`;
    if (shared === undefined) return 'none in memcached';
    if ('refusal' in shared) return `what is in memcached proves nothing: ${REFUSALS[shared.refusal]}`;
    return `${shared.status}, of ${iso(shared.thisUpdateMs)}, until ${iso(shared.nextUpdateMs)}`;
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
