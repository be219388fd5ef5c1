import { once } from 'node:events';

/** What commands say. Results go to stdout and nothing else does; everything that is about the command goes to stderr. */

/** A line of the result. */
export function printLine(text: string): Promise<void> {
  return printBytes(Buffer.from(`${text}\n`));
}

/** The result as one line of JSON. */
export function printJson(value: unknown): Promise<void> {
  return printLine(JSON.stringify(value));
}

/** A byte string that others have made, as a terminal can show it: what is not visible ASCII becomes `\xNN`. */
export function printable(bytes: string): string {
  return bytes.replace(/[^\x20-\x7e]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Bytes of the result, as they are. */
export async function printBytes(bytes: Uint8Array): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
}

/** A sentence, or several lines, for whoever ran the command. */
export function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** The status a shell reports of a process that SIGPIPE ended. */
const BROKEN_PIPE_STATUS = 128 + 13;

/** Ends the process silently, as SIGPIPE would, when nobody reads its result any more (`lookaside get … | head -c1`). */
export function endOnBrokenPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(BROKEN_PIPE_STATUS);
  });
}
