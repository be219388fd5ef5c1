import { MessageDecoder, WireError } from './decoder.js';
import { MAX_ID_BYTES, MIN_READABLE_DATA_BYTES, RESULT, readRequest } from './payload.js';
import type { Direction, Watcher } from './snoop.js';
import type { Message, Operation } from './wire.js';

/** What was seen of a connection. */
export type Sighting = {
  readonly connection: number;
  /** Wall clock, ms since 1970: of the request where there is one. */
  readonly time: number;
} & (
  | ({ readonly event: 'exchange' } & Exchange)
  /** A response to nothing that was asked. */
  | { readonly event: 'stray'; readonly uid: number; readonly operation: Operation; readonly responseBytes: number }
  /** From here on what comes from there is passed on without a look. */
  | { readonly event: 'fault'; readonly from: 'client' | 'server'; readonly reason: string }
  | { readonly event: 'open' }
  | { readonly event: 'close'; readonly reason?: string }
);

export interface Exchange {
  readonly uid: number;
  readonly operation: Operation;
  /** The first 64 bytes. Absent when the request was no legal ADD. */
  readonly id?: Buffer;
  /** Of an ADD. */
  readonly timeoutMs?: number;
  /** Of the session, in an ADD or in the response to a GET. */
  readonly dataBytes?: number;
  /** Of the payload. */
  readonly requestBytes: number;
  readonly result: ExchangeResult;
  readonly responseBytes?: number;
  readonly roundTripMs?: number;
}

/** What the one byte of a response says. */
const RESULTS = [
  ['ok', RESULT.ok],
  ['not-found', RESULT.notOk],
  ['disconnected', RESULT.disconnected],
  ['corrupt', RESULT.addCorrupt],
  ['exists', RESULT.addMatchingSession],
  ['timeout-range', RESULT.addTimeoutRange],
  ['id-range', RESULT.addIdRange],
] as const;

/** `other`: a response that means nothing to a client. `unanswered`: there was none before the end of the connection. */
export const EXCHANGE_RESULTS = [...RESULTS.map(([name]) => name), 'other', 'unanswered'] as const;
export type ExchangeResult = (typeof EXCHANGE_RESULTS)[number];

const RESULT_OF_CODE: ReadonlyMap<number | undefined, ExchangeResult> = new Map(
  RESULTS.map(([name, code]) => [code, name]),
);

/** Requests that wait for their response. Whoever pipelines more gets the others' responses shown as stray ones. */
const MAX_OUTSTANDING = 4096;

interface Asked {
  readonly time: number;
  readonly sentAt: number;
  readonly exchange: Omit<Exchange, 'result'>;
}

/** Reads the messages of a connection, and tells of each request together with its response. */
export class DecodingWatcher implements Watcher {
  readonly #connection: number;
  readonly #tell: (sighting: Sighting) => void;
  readonly #decoders = {
    'client->server': new MessageDecoder('request'),
    'server->client': new MessageDecoder('response'),
  };
  /** In the order they were asked, which is the order they are answered in. */
  readonly #outstanding: Asked[] = [];

  constructor(connection: number, tell: (sighting: Sighting) => void) {
    this.#connection = connection;
    this.#tell = tell;
    tell({ event: 'open', connection, time: Date.now() });
  }

  bytes(direction: Direction, bytes: Buffer): boolean {
    const decoder = this.#decoders[direction];
    decoder.push(bytes);
    try {
      for (let message = decoder.next(); message !== undefined; message = decoder.next()) {
        if (direction === 'client->server') this.#asked(message);
        else this.#answered(message);
      }
      return true;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      const from = direction === 'client->server' ? 'client' : 'server';
      this.#tell({ event: 'fault', connection: this.#connection, time: Date.now(), from, reason: error.message });
      return false;
    }
  }

  frame(): void {}

  /** Has been a fault of the bytes already. */
  illegalFrame(): void {}

  closed(error: Error | undefined): void {
    for (const { time, exchange } of this.#outstanding) {
      this.#tell({ event: 'exchange', connection: this.#connection, time, ...exchange, result: 'unanswered' });
    }
    const reason = error && { reason: error.message };
    this.#tell({ event: 'close', connection: this.#connection, time: Date.now(), ...reason });
  }

  #asked(message: Message): void {
    if (this.#outstanding.length >= MAX_OUTSTANDING) return;
    this.#outstanding.push({ time: Date.now(), sentAt: performance.now(), exchange: describe(message) });
  }

  #answered({ uid, operation, payload }: Message): void {
    const connection = this.#connection;
    const responseBytes = payload.length;
    const at = this.#outstanding.findIndex(({ exchange }) => exchange.uid === uid && exchange.operation === operation);
    const [asked] = at < 0 ? [] : this.#outstanding.splice(at, 1);
    if (asked === undefined) {
      this.#tell({ event: 'stray', connection, time: Date.now(), uid, operation, responseBytes });
      return;
    }
    const { time, sentAt, exchange } = asked;
    const result = resultOf(operation, payload);
    this.#tell({
      event: 'exchange',
      connection,
      time,
      ...exchange,
      ...(operation === 'get' && result === 'ok' && { dataBytes: responseBytes }),
      result,
      responseBytes,
      roundTripMs: performance.now() - sentAt,
    });
  }
}

function resultOf(operation: Operation, payload: Buffer): ExchangeResult {
  if (operation === 'get' && payload.length >= MIN_READABLE_DATA_BYTES) return 'ok';
  const result = payload.length === 1 ? RESULT_OF_CODE.get(payload[0]) : undefined;
  // a GET succeeds with data only
  return result === undefined || (operation === 'get' && result === 'ok') ? 'other' : result;
}

function describe(message: Message): Omit<Exchange, 'result'> {
  const { uid, operation, payload } = message;
  const asked = { uid, operation, requestBytes: payload.length };
  const request = readRequest(message);
  if (typeof request !== 'object') return asked;
  // the payload lies in what was received, of which nothing more is to be kept
  const id = Buffer.from(request.id.subarray(0, MAX_ID_BYTES));
  if (request.operation !== 'add') return { ...asked, id };
  return { ...asked, id, timeoutMs: request.timeoutMs, dataBytes: request.data.length };
}
