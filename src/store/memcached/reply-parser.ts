/**
 * The frame of memcached's replies: lines that end with CRLF, and counted blocks that end with CRLF. What a line means,
 * and whether a block follows it, is for the sink to say.
 *
 * Bounded whatever comes: a line takes at most {@link MAX_LINE_BYTES}, a block what the sink announced. Bytes may come in
 * any cuts. Blocks that come in one piece are handed on as views of what was read, uncopied.
 */
export class ReplyParser {
  readonly #sink: ReplySink;
  /** The beginning of a line whose end has not come yet. */
  readonly #line = Buffer.allocUnsafeSlow(MAX_LINE_BYTES);
  #lineBytes = 0;
  /** Length of the block that comes next, or {@link LINE}. */
  #expected = LINE;
  /** The beginning of a block, with room for all of it and its CRLF. */
  #block: Buffer | undefined;
  #blockBytes = 0;

  constructor(sink: ReplySink) {
    this.#sink = sink;
  }

  /**
   * Reads what came. `false` when it is not what a memcached sends, or the sink said so: nothing after it has a meaning
   * any more.
   */
  push(chunk: Buffer): boolean {
    let at = 0;
    while (at >= 0 && at < chunk.length) {
      at = this.#expected === LINE ? this.#takeLine(chunk, at) : this.#takeBlock(chunk, at, this.#expected);
    }
    return at >= 0;
  }

  /** Where the rest begins, or {@link BROKEN}. */
  #takeLine(chunk: Buffer, at: number): number {
    const feed = chunk.indexOf(LF, at);
    const end = feed < 0 ? chunk.length : feed + 1;
    if (this.#lineBytes === 0 && feed >= 0) return this.#endLine(chunk, at, end) ? end : BROKEN;
    const bytes = this.#lineBytes + end - at;
    if (bytes > MAX_LINE_BYTES) return BROKEN;
    chunk.copy(this.#line, this.#lineBytes, at, end);
    this.#lineBytes = bytes;
    if (feed < 0) return end;
    this.#lineBytes = 0;
    return this.#endLine(this.#line, 0, bytes) ? end : BROKEN;
  }

  /** `end` lies behind the line feed. */
  #endLine(bytes: Buffer, start: number, end: number): boolean {
    if (end - start > MAX_LINE_BYTES || end - start < 2 || bytes[end - 2] !== CR) return false;
    this.#expected = this.#sink.line(bytes, start, end - 2);
    return this.#expected >= LINE;
  }

  /** Where the rest begins, or {@link BROKEN}. */
  #takeBlock(chunk: Buffer, at: number, length: number): number {
    const missing = length + 2 - this.#blockBytes;
    const end = Math.min(at + missing, chunk.length);
    if (this.#block === undefined && end - at === missing) return this.#endBlock(chunk, at, length) ? end : BROKEN;
    this.#block ??= Buffer.allocUnsafe(length + 2);
    chunk.copy(this.#block, this.#blockBytes, at, end);
    this.#blockBytes += end - at;
    if (end - at < missing) return end;
    const block = this.#block;
    this.#block = undefined;
    this.#blockBytes = 0;
    return this.#endBlock(block, 0, length) ? end : BROKEN;
  }

  #endBlock(bytes: Buffer, start: number, length: number): boolean {
    const end = start + length;
    if (bytes[end] !== CR || bytes[end + 1] !== LF) return false;
    this.#expected = this.#sink.block(bytes.subarray(start, end));
    return this.#expected >= LINE;
  }
}

/** Who is told what was framed, and says what must come next: the length of a block, {@link LINE} or {@link BROKEN}. */
export interface ReplySink {
  /** `bytes` from `start` to `end` is a line without its CRLF: valid during the call only. */
  line(bytes: Buffer, start: number, end: number): number;
  /** The block that the line before announced. It may share its memory with what else was read. */
  block(bytes: Buffer): number;
}

/** What comes next is a line. */
export const LINE = -1;

/** What came makes no sense. */
export const BROKEN = -2;

/** A reply's longest line is an echoed key of 250 bytes (336 in base64) and some numbers; error texts are short. */
export const MAX_LINE_BYTES = 2048;

const CR = 0x0d;
const LF = 0x0a;
