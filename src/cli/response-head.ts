import { Fields, isFieldName, isFieldValue } from '../http/fields.js';
import type { ResponseHead } from '../http/response-head.js';

/**
 * The last response head in what curl or a browser shows of an exchange, interim responses and redirects before it left
 * out; `undefined` when there is none. What follows the head does not matter.
 */
export function parseResponseHead(bytes: Buffer): ResponseHead | undefined {
  const lines = bytes.subarray(0, MAX_BYTES).toString('latin1').split(/\r?\n/);
  let head: ResponseHead | undefined;
  for (let at = 0; at < lines.length; ) {
    const start = STATUS_LINE.exec(lines[at++] ?? '')?.groups;
    if (start === undefined) return head;
    const fields = new Fields();
    for (; at < lines.length && lines[at] !== ''; at++) {
      const line = lines[at] ?? '';
      const colon = line.indexOf(':');
      const name = line.slice(0, Math.max(0, colon));
      const value = line.slice(colon + 1).trim();
      if (!isFieldName(name) || !isFieldValue(value)) return undefined;
      fields.append(name, value);
    }
    at++;
    // From HTTP/2 on the end of every body is marked.
    if (!start.version?.startsWith('1')) fields.append('Transfer-Encoding', 'chunked');
    head = { status: Number(start.status), fields };
  }
  return head;
}

/** More than any server sends of heads. */
const MAX_BYTES = 1024 * 1024;

const STATUS_LINE = /^HTTP\/(?<version>1\.[01]|[23](?:\.0)?) (?<status>[1-5][0-9]{2})(?: .*)?$/;
