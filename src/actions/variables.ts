import { type Stats, statSync } from 'node:fs';
import { isFieldName } from '../http/fields.js';
import type { ExchangeView } from './exchange.js';
import { didYouMean } from './suggest.js';

/** A condition variable, ready to be read: what patterns insert and conditions compare. */
export type Variable = TextVariable | NumberVariable | BooleanVariable;

interface Described {
  /** In full, such as `request.path`; {@link findVariable} knows the short forms. */
  readonly name: string;
  /** One line for the reference. */
  readonly help: string;
  /**
   * Whether it may be made of the decoded path, so that what is kept under it is not safe for requests with an
   * ambiguous path (`http/path.ts`).
   */
  readonly decodedPath?: true;
}

/** Text is a byte string, empty when there is nothing to read; so are addresses, which are numeric. */
interface TextVariable extends Described {
  readonly type: 'string' | 'address';
  readonly read: (exchange: ExchangeView) => string;
}

interface NumberVariable extends Described {
  readonly type: 'number';
  readonly read: (exchange: ExchangeView) => number;
}

interface BooleanVariable extends Described {
  readonly type: 'boolean';
  readonly read: (exchange: ExchangeView) => boolean;
}

/** A family of text variables, one for every key: `request.header["accept"]`. */
interface KeyedVariable extends Described {
  readonly type: 'string';
  readonly of: (key: string) => (exchange: ExchangeView) => string;
  /** What is wrong with a key, or `undefined`. */
  readonly fault?: (key: string) => string | undefined;
}

/** THE table of condition variables: patterns, conditions, reference and error messages derive from it. */
export const VARIABLES: readonly (Variable | KeyedVariable)[] = [
  {
    name: 'request.localip',
    type: 'address',
    help: 'address the client connected to; empty on a unix socket',
    read: ({ request }) => plainAddress(request.local.address),
  },
  {
    name: 'request.localport',
    type: 'number',
    help: 'port the client connected to; 0 on a unix socket',
    read: ({ request }) => request.local.port,
  },
  {
    name: 'request.remoteip',
    type: 'address',
    help: 'address of the client; empty on a unix socket',
    read: ({ request }) => plainAddress(request.remote.address),
  },
  {
    name: 'request.remoteport',
    type: 'number',
    help: 'port of the client; 0 on a unix socket',
    read: ({ request }) => request.remote.port,
  },
  {
    name: 'request.path',
    type: 'string',
    help: 'path, decoded and simplified, without the query',
    decodedPath: true,
    read: ({ request }) => request.path,
  },
  {
    name: 'request.raw_path',
    type: 'string',
    help: 'path and query as they were sent',
    read: ({ request }) => request.target,
  },
  {
    name: 'request.host',
    type: 'string',
    help: 'host name in lower case, without the port',
    read: ({ request }) => request.host,
  },
  {
    name: 'request.authority',
    type: 'string',
    help: 'host name in lower case, with the port unless it is the default of the scheme',
    read: ({ request }) => request.authority,
  },
  {
    name: 'request.scheme',
    type: 'string',
    help: 'http or https',
    read: ({ request }) => request.scheme,
  },
  {
    name: 'request.query',
    type: 'string',
    help: 'query as it was sent, without the question mark',
    read: ({ request }) => request.query,
  },
  {
    name: 'request.method',
    type: 'string',
    help: 'method, such as GET',
    read: ({ request }) => request.method,
  },
  {
    name: 'request.length',
    type: 'number',
    help: 'length of the body in bytes: 0 when there is none, -1 when it is not known beforehand',
    read: bodyLength,
  },
  {
    name: 'request.header',
    type: 'string',
    help: 'field of the request, its lines joined with ", "; empty when it is absent',
    of: (key) => (exchange) => exchange.request.fields.get(key) ?? '',
    fault: fieldNameFault,
  },
  {
    name: 'request.is_handled',
    type: 'boolean',
    help: 'whether there is a response already',
    read: ({ response }) => response !== undefined,
  },
  {
    name: 'request.environment',
    type: 'string',
    help: 'value an earlier action left under the name; empty when none did',
    decodedPath: true,
    of: (key) => (exchange) => exchange.environment.get(key) ?? '',
  },
  {
    name: 'physical.path',
    type: 'string',
    help: 'file the request is for: docroot and path; empty before a docroot',
    decodedPath: true,
    read: physicalPath,
  },
  {
    name: 'physical.exists',
    type: 'boolean',
    help: 'whether there is something at physical.path',
    decodedPath: true,
    read: (exchange) => stat(exchange) !== undefined,
  },
  {
    name: 'physical.size',
    type: 'number',
    help: 'size of the file in bytes; -1 when there is none',
    decodedPath: true,
    read: (exchange) => stat(exchange)?.size ?? -1,
  },
  {
    name: 'physical.is_dir',
    type: 'boolean',
    help: 'whether physical.path is a directory',
    decodedPath: true,
    read: (exchange) => stat(exchange)?.isDirectory() ?? false,
  },
  {
    name: 'physical.is_file',
    type: 'boolean',
    help: 'whether physical.path is a regular file',
    decodedPath: true,
    read: (exchange) => stat(exchange)?.isFile() ?? false,
  },
  {
    name: 'physical.docroot',
    type: 'string',
    help: 'directory files are served from; empty before a docroot',
    decodedPath: true,
    read: ({ physical }) => physical?.docroot ?? '',
  },
  {
    name: 'physical.pathinfo',
    type: 'string',
    help: 'what lies behind the file in the path; empty unless an action split it off',
    decodedPath: true,
    read: ({ physical }) => physical?.pathinfo ?? '',
  },
  {
    name: 'response.status',
    type: 'number',
    help: 'status of the response; 0 as long as there is none',
    read: ({ response }) => response?.status ?? 0,
  },
  {
    name: 'response.header',
    type: 'string',
    help: 'field of the response, its lines joined with ", "; empty when it is absent',
    of: (key) => (exchange) => exchange.response?.fields.get(key) ?? '',
    fault: fieldNameFault,
  },
];

const BY_NAME: ReadonlyMap<string, Variable | KeyedVariable> = new Map(
  VARIABLES.flatMap((variable) => spellings(variable.name).map((name) => [name, variable] as const)),
);

/**
 * The variable that `text` names: `req.path`, `request.path`, `req.header["accept"]`, `req.env[name]`.
 *
 * @throws VariableError when there is none.
 */
export function findVariable(text: string): Variable {
  const [, name = '', index, quoted, bare] = REFERENCE.exec(text) ?? [];
  if (name === '') throw new VariableError(`"${text}" is not the name of a variable`);
  const variable = BY_NAME.get(name);
  if (variable === undefined) throw new VariableError(`unknown variable "${name}"${didYouMean(name, BY_NAME.keys())}`);
  if (!('of' in variable)) {
    if (index !== undefined) throw new VariableError(`"${name}" takes no name in brackets`);
    return variable;
  }
  const key = quoted ?? bare ?? '';
  if (key === '') throw new VariableError(`"${name}" needs a name, as in ${name}["name"]`);
  const { of, fault, ...described } = variable;
  const wrong = fault?.(key);
  if (wrong !== undefined) throw new VariableError(wrong);
  return { ...described, name: `${variable.name}["${key}"]`, read: of(key) };
}

/** `text` names no variable. */
export class VariableError extends Error {
  override readonly name = 'VariableError';
}

/** A name, and a key in brackets, in quotes or without them. */
const REFERENCE = /^([A-Za-z_][\w.]*)(\[(?:"([^"\]]*)"|([^"\]]*))\])?$/;

/** The full name and the short ones. */
function spellings(name: string): string[] {
  const short = name.replace('request.', 'req.').replace('response.', 'resp.').replace('physical.', 'phys.');
  return [name, short].flatMap((spelling) => [spelling, spelling.replace('.environment', '.env')]);
}

function fieldNameFault(key: string): string | undefined {
  return isFieldName(key) ? undefined : `"${key}" can not be the name of a field`;
}

/** An IPv4 address as such, which a socket for both protocols reports as `::ffff:192.0.2.1`. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}

function bodyLength({ request }: ExchangeView): number {
  const length = request.fields.get('content-length');
  if (length !== undefined && /^\d+$/.test(length)) return Number(length);
  return request.hasBody ? -1 : 0;
}

function physicalPath({ physical }: ExchangeView): string {
  return physical === undefined ? '' : physical.docroot + physical.path;
}

/** A look at the file system that blocks: lighttpd2's conditions ask for it, a local directory answers from memory. */
function stat(exchange: ExchangeView): Stats | undefined {
  const path = physicalPath(exchange);
  if (path === '') return undefined;
  try {
    return statSync(Buffer.from(path, 'latin1'), { throwIfNoEntry: false });
  } catch {
    // Too long, not permitted, a NUL in it: to whoever asks it is not there.
    return undefined;
  }
}
