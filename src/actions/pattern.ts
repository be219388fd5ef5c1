import { utf8ToBytes } from '../http/byte-string.js';
import { type Captures, captureRange } from './captures.js';
import type { ExchangeView } from './exchange.js';
import { compiledText, TextError } from './text-error.js';
import { findVariable, type Variable, VariableError } from './variables.js';

/** Text with places that every exchange fills in: lighttpd2's patterns, such as `%{req.scheme}://%{req.host}%{req.path}`. */
export interface Pattern {
  readonly source: string;
  /**
   * Whether it is made, or may be made, of the decoded path: by `req.path`, `phys.*`, `req.env[…]` or captures. What is
   * kept under such a key is not safe for requests with an ambiguous path (`http/path.ts`).
   */
  readonly usesDecodedPath: boolean;
  /** The byte string for this exchange. `own` are the captures of the action itself (`$n`): none unless given. */
  expand(exchange: ExchangeView, own?: Captures): string;
}

/** Why a text is not a pattern. */
export class PatternError extends TextError {
  override readonly name = 'PatternError';
}

type Insert = (exchange: ExchangeView, own: Captures) => string;

interface Part {
  /** What it stands for: the same text always, or what the function says. */
  readonly insert: string | Insert;
  readonly usesDecodedPath?: boolean;
}

/**
 * Compiles a pattern:
 *
 * - `%{var}` or `%<var>`: a condition variable (`variables.ts`); `%{enc:var}` URL-encodes it;
 * - `%0` to `%9`, `%[n]`, `%[n-m]`, `%[n-]`, `%[-m]`: captures of the last regular expression that matched in a
 *   condition. An open end stands for a very large number, and a range whose first number is the larger one goes
 *   backwards, so `%[-m]` begins with the last capture. A missing capture is empty;
 * - `$…`: the same forms for captures of the action itself;
 * - `\` in front of `$`, `%`, `?` or `\`: that character; all else stands for its own UTF-8 bytes.
 *
 * @throws PatternError
 */
export function compilePattern(text: string): Pattern {
  const parts: Part[] = [];
  for (let at = 0; at < text.length; ) {
    const sign = text[at];
    const [part, end] = sign === '%' || sign === '$' ? readPlace(text, at) : readLiteral(text, at);
    parts.push(part);
    at = end;
  }
  const usesDecodedPath = parts.some((part) => part.usesDecodedPath);
  return { source: text, usesDecodedPath, expand: join(parts.map((part) => part.insert)) };
}

/** A pattern as a config writes it. */
export const patternSchema = compiledText(compilePattern);

function join(inserts: readonly (string | Insert)[]): Pattern['expand'] {
  const [only = ''] = inserts;
  if (inserts.length <= 1)
    return typeof only === 'string' ? () => only : (exchange, own = noCaptures) => only(exchange, own);
  return (exchange, own = noCaptures) => {
    let text = '';
    for (const insert of inserts) text += typeof insert === 'string' ? insert : insert(exchange, own);
    return text;
  };
}

function noCaptures(): string {
  return '';
}

/** A part, and where in the text the next one begins. */
type Read = readonly [Part, end: number];

const LITERAL = /(?:[^%$\\]|\\[%$?\\])+/y;

function readLiteral(text: string, start: number): Read {
  const literal = match(LITERAL, text, start)?.[0] ?? '';
  const end = start + literal.length;
  if (text[end] === '\\') throw new PatternError('a backslash escapes only $ % ? and \\', end);
  return [{ insert: utf8ToBytes(literal.replace(/\\(.)/g, '$1')) }, end];
}

const CAPTURES = /[%$](?:(?<digit>\d)|\[(?:(?<single>\d{1,9})|(?<from>\d{1,9})?-(?<to>\d{1,9})?)\])/y;

function readPlace(text: string, start: number): Read {
  const own = text[start] === '$';
  const next = text[start + 1];
  if (!own && (next === '{' || next === '<')) return readVariable(text, start, next === '{' ? '}' : '>');
  const range = match(CAPTURES, text, start);
  if (range === undefined) throw new PatternError(placeFault(text, start), start);
  const { digit, single = digit, from = single, to = single } = { ...range.groups };
  if (from === undefined && to === undefined) throw new PatternError('empty range', start);
  return [captures(own, openEnd(from), openEnd(to)), start + range[0].length];
}

function readVariable(text: string, start: number, closing: string): Read {
  const end = text.indexOf(closing, start);
  if (end < 0) throw new PatternError(`"${text.slice(start, start + 2)}" without "${closing}"`, start);
  const encoded = text.startsWith(ENCODED, start + 2);
  const from = start + 2 + (encoded ? ENCODED.length : 0);
  return [variablePart(text.slice(from, end), encoded, from), end + 1];
}

const ENCODED = 'enc:';

function placeFault(text: string, start: number): string {
  if (text[start + 1] === '[') return 'a range is [n], [n-m], [n-] or [-m]';
  const place = text[start] === '%' ? 'a variable or a capture' : 'a capture';
  return `"${text[start]}" begins ${place}: write "\\${text[start]}" for the character itself`;
}

function match(expression: RegExp, text: string, start: number): RegExpExecArray | undefined {
  expression.lastIndex = start;
  return expression.exec(text) ?? undefined;
}

function openEnd(digits: string | undefined): number {
  return digits === undefined ? Number.POSITIVE_INFINITY : Number(digits);
}

function captures(own: boolean, from: number, to: number): Part {
  if (own) return { insert: (_, range) => range(from, to), usesDecodedPath: true };
  return { insert: (exchange) => captureRange(exchange.captures, from, to), usesDecodedPath: true };
}

function variablePart(name: string, encoded: boolean, offset: number): Part {
  const variable = variableAt(name, offset);
  const read = textOf(variable);
  return {
    insert: encoded ? (exchange) => encodeUri(read(exchange)) : read,
    usesDecodedPath: variable.decodedPath === true,
  };
}

function variableAt(name: string, offset: number): Variable {
  try {
    return findVariable(name);
  } catch (error) {
    if (error instanceof VariableError) throw new PatternError(error.message, offset);
    throw error;
  }
}

/** What a variable inserts: booleans as lighttpd2 writes them. */
function textOf(variable: Variable): (exchange: ExchangeView) => string {
  switch (variable.type) {
    case 'number':
      return (exchange) => String(variable.read(exchange));
    case 'boolean':
      return (exchange) => (variable.read(exchange) ? 'TRUE' : 'FALSE');
    default:
      return variable.read;
  }
}

/** lighttpd2's encoding for URLs: every byte but these becomes `%` and two lower-case digits. */
function encodeUri(bytes: string): string {
  return bytes.replace(/[^!()*\-./0-9A-Z_a-z]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
