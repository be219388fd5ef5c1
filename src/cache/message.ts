import { Fields, isFieldName, isFieldValue, withoutConnectionFields } from '../http/fields.js';

/**
 * An HTTP/1.1 response message as it lies in the store, the cache's own lines in front of the response's fields:
 *
 *     HTTP/1.1 200 \r\n
 *     lookaside: 2 …\r\n
 *     content-type: text/html\r\n
 *     \r\n
 *     <body>
 */
export interface Message {
  readonly status: number;
  /** The cache's own fields, which come first. */
  readonly own: readonly string[];
  /** Without connection fields and Content-Length, which are made anew for the client. */
  readonly fields: Fields;
  readonly body: Buffer;
}

/**
 * Largest head of an entry, in bytes: node:http takes 16 KiB of request fields; responses are given four times that.
 */
export const MAX_HEAD_BYTES = 64 * 1024;

/** The cache's own fields. A response that bears one is stored without it. */
const OWN_NAME = /^lookaside(?:-purge)?$/i;
const OWN_LINE = /^lookaside(?:-purge)?: /;

/** The fields of a response as lines, each with its end, with those left out that are not to be stored. */
export function storedLines(fields: Fields): string {
  let lines = '';
  for (const [name, value] of ofTheResponse(fields)) {
    if (name.toLowerCase() !== 'age' && !OWN_NAME.test(name)) lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

/** The message in `value`, or `undefined` when that is not one. Trusts nothing. */
export function decodeMessage(value: Buffer): Message | undefined {
  const end = value.subarray(0, MAX_HEAD_BYTES).indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [statusLine = '', ...lines] = value.toString('latin1', 0, end).split('\r\n');
  const status = parseStatusLine(statusLine);
  if (status === undefined) return undefined;
  const own: string[] = [];
  for (let line = lines[0]; line !== undefined && OWN_LINE.test(line); line = lines[0]) {
    own.push(line);
    lines.shift();
  }
  const fields = parseFields(lines);
  if (fields === undefined) return undefined;
  const body = value.subarray(end + 4);
  for (const length of fields.all('content-length')) if (length !== String(body.length)) return undefined;
  return { status, own, fields: ofTheResponse(fields), body };
}

/** The fields that belong to the response and not to the connection or the framing it came with. */
function ofTheResponse(fields: Fields): Fields {
  const kept = withoutConnectionFields(fields);
  kept.delete('content-length');
  return kept;
}

function parseStatusLine(line: string): number | undefined {
  const match = /^HTTP\/1\.[01] ([2-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(line);
  return match === null ? undefined : Number(match[1]);
}

function parseFields(lines: readonly string[]): Fields | undefined {
  const fields = new Fields();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, '');
    if (colon < 0 || !isFieldName(name) || !isFieldValue(value) || OWN_NAME.test(name)) return undefined;
    fields.append(name, value);
  }
  return fields;
}
