import { BlockList, isIP } from 'node:net';
import { utf8ToBytes } from '../http/byte-string.js';
import type { ExchangeView } from './exchange.js';
import { plainAddress, type Variable } from './variables.js';

/** Whether an exchange is as a condition says. */
export type Test = (exchange: ExchangeView) => boolean;

/** The operators of conditions, longest first where one begins another. `!x` is the opposite of `=x`. */
export const OPERATORS = ['==', '!=', '<=', '>=', '=~', '!~', '=^', '!^', '=$', '!$', '=/', '!/', '<', '>'] as const;

export type Operator = (typeof OPERATORS)[number];

/** What is wrong with a comparison: its operator, or the value to compare with. */
export class ComparisonError extends Error {
  override readonly name = 'ComparisonError';
  readonly about: 'operator' | 'value';

  constructor(message: string, about: 'operator' | 'value') {
    super(message);
    this.about = about;
  }
}

/**
 * Regular expressions are the operator's, so their cost is too; this bounds what a client can make of it. It is all
 * that node:http takes for a whole head by default: no request can get past a rule by being longer than this, unless
 * that limit was raised. A longer text does not match.
 */
export const MAX_SUBJECT_BYTES = 16 * 1024;

/**
 * The test `variable operator value`. Texts are compared byte by byte, numbers as integers, addresses as addresses
 * whatever their notation.
 *
 * @throws ComparisonError when the operator does not suit the variable, or the value the operator.
 */
export function compare(variable: Variable, operator: Operator, value: string): Test {
  switch (variable.type) {
    case 'boolean':
      throw new ComparisonError(`${variable.name} is true or false: use it alone, or with "not"`, 'operator');
    case 'number':
      return compareNumber(variable.name, variable.read, operator, value);
    case 'address':
      if (operator === '==' || operator === '!=')
        return negateIf(operator, isWithin(variable.read, singleAddress(value)));
      return compareText(variable.name, variable.read, operator, value);
    default:
      return compareText(variable.name, variable.read, operator, value);
  }
}

type Read<Value> = (exchange: ExchangeView) => Value;

function compareNumber(name: string, read: Read<number>, operator: Operator, value: string): Test {
  const number = /^-?\d+$/.test(value) ? Number(value) : undefined;
  if (number === undefined) throw new ComparisonError(`${name} is a number, "${value}" is none`, 'value');
  switch (operator) {
    case '==':
      return (exchange) => read(exchange) === number;
    case '!=':
      return (exchange) => read(exchange) !== number;
    case '<':
      return (exchange) => read(exchange) < number;
    case '<=':
      return (exchange) => read(exchange) <= number;
    case '>':
      return (exchange) => read(exchange) > number;
    case '>=':
      return (exchange) => read(exchange) >= number;
    default:
      throw new ComparisonError(`${name} is a number: "${operator}" compares text`, 'operator');
  }
}

function compareText(name: string, read: Read<string>, operator: Operator, value: string): Test {
  const bytes = utf8ToBytes(value);
  switch (operator) {
    case '==':
    case '!=':
      return negateIf(operator, (exchange) => read(exchange) === bytes);
    case '=^':
    case '!^':
      return negateIf(operator, (exchange) => read(exchange).startsWith(bytes));
    case '=$':
    case '!$':
      return negateIf(operator, (exchange) => read(exchange).endsWith(bytes));
    case '=~':
    case '!~':
      return negateIf(operator, matches(read, bytes));
    case '=/':
    case '!/':
      return negateIf(operator, isWithin(read, network(value)));
    default:
      throw new ComparisonError(`${name} is text: "${operator}" compares numbers`, 'operator');
  }
}

function negateIf(operator: Operator, test: Test): Test {
  return operator.startsWith('!') ? (exchange) => !test(exchange) : test;
}

/** A match leaves its captures for `%0` to `%9`. The expression sees bytes: `.` is any of them. */
function matches(read: Read<string>, source: string): Test {
  const expression = regExp(source);
  return (exchange) => {
    const subject = read(exchange);
    const captures = subject.length > MAX_SUBJECT_BYTES ? null : expression.exec(subject);
    if (captures !== null) exchange.captures = captures;
    return captures !== null;
  };
}

function regExp(source: string): RegExp {
  try {
    return new RegExp(source, 's');
  } catch (error) {
    throw new ComparisonError(error instanceof Error ? error.message : String(error), 'value');
  }
}

/** The addresses of one version that have a prefix in common. */
interface Network {
  readonly version: number;
  readonly addresses: BlockList;
}

function isWithin(read: Read<string>, { version, addresses }: Network): Test {
  return (exchange) => {
    // A link-local address names its interface behind a percent sign.
    const [numeric = ''] = read(exchange).split('%', 1);
    const subject = plainAddress(numeric);
    return isIP(subject) === version && addresses.check(subject, family(version));
  };
}

function singleAddress(text: string): Network {
  return text.includes('/') ? notAnAddress(text) : network(text);
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address. */
function network(text: string): Network {
  const [, start = '', prefix] = /^([^/%]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(start);
  const bits = version === 4 ? 32 : 128;
  const length = prefix === undefined ? bits : Number(prefix);
  if (version === 0 || length > bits) return notAnAddress(text);
  const addresses = new BlockList();
  addresses.addSubnet(start, length, family(version));
  return { version, addresses };
}

function family(version: number): 'ipv4' | 'ipv6' {
  return version === 4 ? 'ipv4' : 'ipv6';
}

function notAnAddress(text: string): never {
  throw new ComparisonError(`"${text}" is not an address or a network such as 10.0.0.0/8`, 'value');
}
