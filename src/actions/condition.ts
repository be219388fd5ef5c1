import { ComparisonError, compare, OPERATORS, type Operator, type Test } from './comparison.js';
import { compiledText, TextError } from './text-error.js';
import { findVariable, type Variable, VariableError } from './variables.js';

/** Why a text is not a condition. */
export class ConditionError extends TextError {
  override readonly name = 'ConditionError';
}

/**
 * Compiles a condition, such as `req.path =^ "/api" and not (req.method == "POST" or phys.exists)`:
 *
 * ```
 * condition  = all *( "or" all )
 * all        = one *( "and" one )
 * one        = ( "not" / "!" ) one / "(" condition ")" / comparison / boolean variable
 * comparison = variable operator value
 * value      = a word without white space, quotes and parentheses / text in double quotes
 * ```
 *
 * Within quotes `\"` and `\\` stand for a quote and a backslash; any other backslash stands for itself, so that regular
 * expressions read as they are (`"\.css$"`). See `variables.ts` for the variables, `comparison.ts` for the operators:
 * `==  !=` equal; `<  <=  >  >=` numbers; `=~  !~` regular expression; `=^  !^` prefix; `=$  !$` suffix; `=/  !/` network.
 *
 * @throws ConditionError
 */
export function compileCondition(text: string): Test {
  const reader = new Reader(text);
  const test = readAny(reader, 0);
  if (!reader.atEnd) throw reader.fault('expected "and", "or" or the end');
  return test;
}

/** A condition as a config writes it. */
export const conditionSchema = compiledText(compileCondition);

/** How deep parentheses and negations may lie in one another: more would only exhaust the stack. */
const MAX_DEPTH = 64;

function readAny(reader: Reader, depth: number): Test {
  let test = readAll(reader, depth);
  while (reader.take(OR)) test = either(test, readAll(reader, depth));
  return test;
}

function readAll(reader: Reader, depth: number): Test {
  let test = readOne(reader, depth);
  while (reader.take(AND)) test = both(test, readOne(reader, depth));
  return test;
}

function either(left: Test, right: Test): Test {
  return (exchange) => left(exchange) || right(exchange);
}

function both(left: Test, right: Test): Test {
  return (exchange) => left(exchange) && right(exchange);
}

function readOne(reader: Reader, depth: number): Test {
  if (depth > MAX_DEPTH) throw reader.fault('nested too deeply');
  if (reader.take(NOT)) {
    const test = readOne(reader, depth + 1);
    return (exchange) => !test(exchange);
  }
  if (!reader.take(OPENING)) return readComparison(reader);
  const test = readAny(reader, depth + 1);
  if (!reader.take(CLOSING)) throw reader.fault('expected ")"');
  return test;
}

function readComparison(reader: Reader): Test {
  const variableAt = reader.offset;
  const name = reader.take(VARIABLE);
  if (name === undefined) throw reader.fault('expected a variable');
  const variable = variableNamed(name, variableAt);
  const operatorAt = reader.offset;
  const operator = OPERATORS.find((sign) => reader.takeSign(sign));
  if (operator === undefined) return alone(variable, reader);
  const valueAt = reader.offset;
  const value = readValue(reader);
  try {
    return compare(variable, operator, value);
  } catch (error) {
    if (!(error instanceof ComparisonError)) throw error;
    throw new ConditionError(error.message, error.about === 'value' ? valueAt : operatorAt);
  }
}

function variableNamed(name: string, offset: number): Variable {
  try {
    return findVariable(name);
  } catch (error) {
    if (error instanceof VariableError) throw new ConditionError(error.message, offset);
    throw error;
  }
}

function alone(variable: Variable, reader: Reader): Test {
  if (variable.type !== 'boolean') throw reader.fault(`expected an operator, one of ${OPERATORS.join(' ')}`);
  return variable.read;
}

function readValue(reader: Reader): string {
  const quoted = reader.take(QUOTED);
  if (quoted !== undefined) return quoted.slice(1, -1).replace(/\\(["\\])/g, '$1');
  const keywordAt = reader.offset;
  const bare = reader.take(BARE);
  if (bare === undefined) throw reader.fault('expected a value, a word or text in double quotes');
  if (/^(?:and|or|not)$/.test(bare)) throw new ConditionError(`put "${bare}" in quotes to compare with it`, keywordAt);
  return bare;
}

const AND = /and(?![\w.])/y;
const OR = /or(?![\w.])/y;
const NOT = /!|not(?![\w.])/y;
const OPENING = /\(/y;
const CLOSING = /\)/y;
const VARIABLE = /[A-Za-z_][\w.]*(?:\[[^\]]*\])?/y;
const QUOTED = /"(?:[^"\\]|\\.)*"/sy;
const BARE = /[^\s()"']+/y;
const SPACE = /\s*/y;

/** The text of a condition, and how far it has been read. It always stands at a word, never at white space. */
class Reader {
  readonly #text: string;
  #offset = 0;

  constructor(text: string) {
    this.#text = text;
    this.#skip(SPACE);
  }

  get offset(): number {
    return this.#offset;
  }

  get atEnd(): boolean {
    return this.#offset === this.#text.length;
  }

  /** What `expression` (a sticky one) matches here, read; `undefined` when it does not. */
  take(expression: RegExp): string | undefined {
    const taken = this.#skip(expression);
    if (taken !== undefined) this.#skip(SPACE);
    return taken;
  }

  /** Reads `sign` when it stands here. */
  takeSign(sign: Operator): boolean {
    if (!this.#text.startsWith(sign, this.#offset)) return false;
    this.#offset += sign.length;
    this.#skip(SPACE);
    return true;
  }

  fault(message: string): ConditionError {
    return new ConditionError(message, this.#offset);
  }

  #skip(expression: RegExp): string | undefined {
    expression.lastIndex = this.#offset;
    const [found] = expression.exec(this.#text) ?? [];
    this.#offset += found?.length ?? 0;
    return found;
  }
}
