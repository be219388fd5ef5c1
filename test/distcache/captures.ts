import { readdirSync, readFileSync } from 'node:fs';
import { fixture } from '../support/root.js';

/**
 * What clients of the C toolkit were seen to send, and what a good server answers. A file is a transcript: `>` bytes to
 * the server, `<` bytes that it must answer, `~` milliseconds in which nothing is sent, and at the end whether the
 * connection stays `= open` or is `= closed`. Bytes are hexadecimal; `05*2032` is a byte again and again, `03+07*256` one
 * that grows by 7 each time. 01 to 19 were taken on one server, one after the other, the others each on a fresh one.
 */
export interface Capture {
  readonly name: string;
  readonly title: string;
  readonly steps: readonly Step[];
  readonly isClosed: boolean;
}

export type Step =
  | { readonly kind: 'send'; readonly bytes: Buffer }
  | { readonly kind: 'expect'; readonly bytes: Buffer }
  | { readonly kind: 'wait'; readonly ms: number };

export const CAPTURES: readonly Capture[] = readdirSync(fixture('distcache'))
  .filter((file) => file.endsWith('.txt'))
  .sort()
  .map(readCapture);

/** Those that rely on what the ones before them have left. */
export const SEQUENCE = CAPTURES.filter(({ name }) => name < '20');
export const SINGLES = CAPTURES.filter(({ name }) => name > '20');

/** All that a capture sends, or expects. */
export function bytesOf(capture: Capture, kind: 'send' | 'expect'): Buffer {
  return Buffer.concat(capture.steps.flatMap((step) => (step.kind === kind ? [step.bytes] : [])));
}

function readCapture(file: string): Capture {
  const [first = '', ...lines] = readFileSync(fixture('distcache', file), 'latin1').trimEnd().split('\n');
  const steps = lines.slice(0, -1).map(readStep);
  return { name: file.replace('.txt', ''), title: first.slice(2), steps, isClosed: lines.at(-1) === '= closed' };
}

function readStep(line: string): Step {
  const text = line.slice(2);
  switch (line[0]) {
    case '>':
      return { kind: 'send', bytes: bytesIn(text) };
    case '<':
      return { kind: 'expect', bytes: bytesIn(text) };
    case '~':
      return { kind: 'wait', ms: Number(text) };
    default:
      throw new Error(`not a line of a capture: ${line}`);
  }
}

function bytesIn(text: string): Buffer {
  return Buffer.concat(text.split(' ').map(runOf));
}

function runOf(token: string): Buffer {
  const [, byte, step = '00', count] = /^([0-9a-f]{2})(?:\+([0-9a-f]{2}))?\*([0-9]+)$/.exec(token) ?? [];
  if (byte === undefined) return Buffer.from(token, 'hex');
  const start = Number.parseInt(byte, 16);
  return Buffer.from(Array.from({ length: Number(count) }, (_, i) => start + i * Number.parseInt(step, 16)));
}
