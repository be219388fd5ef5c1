import { Readable } from 'node:stream';

/** What a body's source can be told: undici's side of it. */
export interface BodySource {
  /** Lets more come, when {@link UpstreamBody.add} asked to stop. */
  resume(): void;
  /** Ends it: nobody reads any more. */
  abort(): void;
}

/**
 * The body of an upstream's response while it streams. Destroyed before its end, it ends the call. It may break off
 * before anybody reads it: look at `destroyed` when you begin to.
 */
export class UpstreamBody extends Readable {
  readonly #source: BodySource;
  #isWhole = false;

  constructor(source: BodySource) {
    super();
    this.#source = source;
    // without a listener a break would end the process
    this.on('error', () => {});
  }

  /** Takes the next piece; `false` asks for no more until the source is resumed. */
  add(piece: Uint8Array): boolean {
    return this.push(piece);
  }

  /** All of it has come. */
  end(): void {
    this.#isWhole = true;
    this.push(null);
  }

  override _read(): void {
    this.#source.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#isWhole) this.#source.abort();
    done(error);
  }
}
