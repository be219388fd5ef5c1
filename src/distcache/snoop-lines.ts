import type { Exchange, ExchangeResult, Sighting } from './snoop-decoder.js';
import type { Operation } from './wire.js';

/** Which exchanges are shown. With any of them, nothing else is. */
export interface SnoopFilter {
  readonly operations?: readonly Operation[];
  readonly results?: readonly ExchangeResult[];
  /** What the id begins with, in lower-case hexadecimal digits. */
  readonly idPrefix?: string;
  /** The shortest round trip, in ms. What got no response passes. */
  readonly minMs?: number;
}

export function passes(sighting: Sighting, { operations, results, idPrefix, minMs }: SnoopFilter): boolean {
  if (sighting.event !== 'exchange') {
    return operations === undefined && results === undefined && idPrefix === undefined && minMs === undefined;
  }
  if (operations?.includes(sighting.operation) === false) return false;
  if (results?.includes(sighting.result) === false) return false;
  if (idPrefix !== undefined && !(sighting.id?.toString('hex') ?? '').startsWith(idPrefix)) return false;
  return minMs === undefined || sighting.roundTripMs === undefined || sighting.roundTripMs >= minMs;
}

/** One JSON object, without line break. */
export function jsonLine({ time, ...sighting }: Sighting): string {
  const id = 'id' in sighting && sighting.id !== undefined ? { id: sighting.id.toString('hex') } : {};
  return JSON.stringify({ time: new Date(time).toISOString(), ...sighting, ...id });
}

/** For example `12:01:30.125 #0 add    0102030405060708 11 bytes for 60000 ms: ok, 0.213 ms`, in UTC. */
export function textLine(sighting: Sighting, inColour: boolean): string {
  const paint = (style: Style, text: string) => (inColour ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text);
  const time = new Date(sighting.time).toISOString().slice(11, 23);
  const start = `${paint('dim', time)} #${sighting.connection}`;
  switch (sighting.event) {
    case 'exchange':
      return `${start} ${question(sighting)}: ${paint(styleOf(sighting.result), sighting.result)}${answer(sighting)}`;
    case 'stray':
      return `${start} ${paint('bad', `a response to nothing that was asked: ${sighting.operation}, uid ${sighting.uid}`)}`;
    case 'fault':
      return `${start} ${paint('bad', `the ${sighting.from} sends ${sighting.reason}`)}`;
    case 'open':
      return `${start} ${paint('dim', 'connected')}`;
    case 'close':
      return `${start} ${paint('dim', sighting.reason === undefined ? 'closed' : `closed: ${sighting.reason}`)}`;
  }
}

function question({ operation, id, timeoutMs, dataBytes }: Exchange): string {
  const session = operation === 'add' && dataBytes !== undefined ? ` ${dataBytes} bytes for ${timeoutMs} ms` : '';
  return `${operation.padEnd(6)} ${id?.toString('hex') ?? '(no legal request)'}${session}`;
}

function answer({ operation, dataBytes, roundTripMs }: Exchange): string {
  const session = operation === 'get' && dataBytes !== undefined ? `, ${dataBytes} bytes` : '';
  return roundTripMs === undefined ? session : `${session}, ${roundTripMs.toFixed(3)} ms`;
}

const STYLES = { good: 32, plain: 33, bad: 31, dim: 2 } as const;
type Style = keyof typeof STYLES;

/** An answer, a negative answer, or trouble. */
function styleOf(result: ExchangeResult): Style {
  if (result === 'ok') return 'good';
  return result === 'not-found' || result === 'exists' ? 'plain' : 'bad';
}
