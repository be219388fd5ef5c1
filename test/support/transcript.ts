import assert from 'node:assert/strict';
import { type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Plays a transcript against the server at `origin`, and fails at the first line that does not hold.
 *
 *     # what follows is a comment
 *     > GET /path                a request; further `>` lines are its fields
 *     > X-Field: value
 *     >> body of the request
 *     < 200                      the status that must come back
 *     < X-Field: value           a field that must be there with exactly this value
 *     < X-Field: /^pattern/      … or with one that matches
 *     < !X-Field                 a field that must not be there
 *     << body                    the whole body (\n stands for a line end); /pattern/ for one that matches
 *     ~ 1200                     wait, in ms
 */
export async function play(origin: string, transcript: string): Promise<void> {
  const lines = transcript
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  let answer: Answer | undefined;
  for (let at = 0; at < lines.length; ) {
    const line = lines[at] ?? '';
    if (line.startsWith('~')) {
      await sleep(Number(line.slice(1)));
      at++;
    } else if (line.startsWith('>')) {
      const end = lines.findIndex((other, index) => index > at && (!other.startsWith('>') || REQUEST.test(other)));
      const block = lines.slice(at, end < 0 ? lines.length : end);
      answer = await ask(origin, block);
      at += block.length;
    } else {
      assert.ok(answer, `no request before: ${line}`);
      expect(answer, line, lines[at - 1] ?? '');
      at++;
    }
  }
}

/** How long it may take until what a client has got is in the store: a busy machine has other things to do. */
const STORING_MS = 3000;

/** The same, again and again until it holds: a client has its response a little earlier than the store. */
export async function playUntilItHolds(origin: string, transcript: string): Promise<void> {
  const end = performance.now() + STORING_MS;
  for (;;) {
    try {
      return await play(origin, transcript);
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(10);
    }
  }
}

const REQUEST = /^> ([A-Z-]+) ([^\s:]\S*)$/;

export interface Answer {
  readonly asked: string;
  readonly message: IncomingMessage;
  readonly body: Buffer;
}

async function ask(origin: string, block: readonly string[]): Promise<Answer> {
  const [start = '', ...rest] = block;
  const [, method = '', path = ''] = REQUEST.exec(start) ?? [];
  const fields = rest.filter((line) => line.startsWith('> ')).flatMap((line) => pair(line.slice(2)));
  const body = rest
    .find((line) => line.startsWith('>>'))
    ?.slice(2)
    .trim();
  return fetchRaw(origin, method, path, fields, body);
}

/** One request on a connection of its own; the target goes out as it is. */
export function fetchRaw(
  origin: string,
  method: string,
  path: string,
  fields: readonly string[] = [],
  body?: string,
): Promise<Answer> {
  const { hostname, port } = new URL(origin);
  const hasHost = fields.some((field, index) => index % 2 === 0 && field.toLowerCase() === 'host');
  const headers = [...(hasHost ? [] : ['Host', `${hostname}:${port}`]), ...fields];
  const length = body === undefined ? [] : ['Content-Length', String(Buffer.byteLength(body))];
  return new Promise((resolve, reject) => {
    const sent = request(
      { hostname, port, method, path, agent: false, headers: [...headers, ...length] },
      (message) => {
        const chunks: Buffer[] = [];
        message.on('data', (chunk: Buffer) => chunks.push(chunk));
        message.on('error', reject);
        message.on('end', () => resolve({ asked: `${method} ${path}`, message, body: Buffer.concat(chunks) }));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

function expect({ asked, message, body }: Answer, line: string, previous: string): void {
  const shown = `${asked} answered ${message.statusCode} ${JSON.stringify(message.headers)} ${JSON.stringify(body.toString('latin1').slice(0, 200))}`;
  const because = `expected "${line}" (after "${previous}"), but ${shown}`;
  if (line.startsWith('<<')) {
    compare(body.toString(), line.slice(2).trim().replaceAll('\\n', '\n'), because);
  } else if (/^< \d{3}$/.test(line)) {
    assert.equal(message.statusCode, Number(line.slice(2)), because);
  } else if (line.startsWith('< !')) {
    assert.equal(message.headers[line.slice(3).toLowerCase()], undefined, because);
  } else {
    const [name = '', value = ''] = pair(line.slice(2));
    const found = message.headers[name.toLowerCase()];
    compare(Array.isArray(found) ? found.join(', ') : found, value, because);
  }
}

function compare(found: string | undefined, expected: string, because: string): void {
  const pattern = /^\/(.*)\/$/s.exec(expected);
  if (pattern === null) assert.equal(found, expected, because);
  else assert.match(found ?? '(absent)', new RegExp(pattern[1] ?? ''), because);
}

function pair(line: string): [name: string, value: string] {
  const colon = line.indexOf(':');
  assert.ok(colon > 0, `not a field: ${line}`);
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}
