import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  Parser,
  parseDocument,
  visit,
} from 'yaml';
import { ConfigError, type Position } from './config-error.js';

/** How deep collections may lie in one another: thrice what chains, which have their own limit, can make of it. */
const MAX_DEPTH = 256;

/** A configuration as it stands in a YAML (or JSON) file: its value, and where in the file each part of it is. */
export class Source {
  /** An empty file is an empty configuration. */
  readonly value: unknown;
  readonly #text: string;
  readonly #document: Document;
  readonly #lines = new LineCounter();

  /** Throws a {@link ConfigError} with every error of syntax; names that occur twice are among them. */
  constructor(file: string, text: string) {
    this.#text = text;
    if (!isNestedWithin(text, MAX_DEPTH)) throw new ConfigError(file, [{ message: 'is nested too deeply', path: '' }]);
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const faults = faultsOf(this.#document);
    if (faults.length > 0) {
      const problems = faults.map(({ message, pos }) => ({ message, path: '', position: this.#position(...pos) }));
      throw new ConfigError(file, problems);
    }
    try {
      this.value = this.#document.toJS() ?? {};
    } catch (error) {
      // aliases of aliases that would grow beyond all bounds
      throw new ConfigError(file, [{ message: error instanceof Error ? error.message : String(error), path: '' }]);
    }
  }

  /**
   * Where the value at `path` stands; its name when it begins on a later line than that, or is empty; and when there is
   * no such value, the name of what it is missing in.
   */
  valueAt(path: readonly PropertyKey[]): Position {
    const { value, name, within } = this.#find(path);
    const isNamed = name !== undefined && !isOnOneLine(value);
    return this.#positionOf(value === undefined ? within : isNamed ? name : value);
  }

  /** Where the name stands that `path` ends with. */
  nameAt(path: readonly PropertyKey[]): Position {
    const { value, name, within } = this.#find(path);
    return this.#positionOf(name ?? value ?? within);
  }

  #find(path: readonly PropertyKey[]): Place {
    let place: Place = { value: this.#document.contents, name: undefined, within: this.#document.contents };
    for (const element of path) {
      const parent = resolved(place.value, this.#document);
      // the short form of options, such as a URL for all of `proxy`
      if (isScalar(parent) && isOnOneLine(parent)) return place;
      const inside = childOf(parent, element);
      const within = place.name ?? place.value ?? place.within;
      if (inside === undefined) return { value: undefined, name: undefined, within };
      place = { ...inside, within };
    }
    return place;
  }

  #positionOf(node: Node | null | undefined): Position {
    const [from, to] = node?.range ?? [0, 0];
    return this.#position(from, to);
  }

  #position(from: number, to: number): Position {
    const { line, col } = this.#lines.linePos(from);
    const start = from - (col - 1);
    const end = this.#text.indexOf('\n', start);
    const text = this.#text.slice(start, end < 0 ? undefined : end).replace(/\r$/, '');
    const goesOn = to - start > text.length;
    return { line, column: col, text, length: goesOn ? 1 : Math.max(1, to - from) };
  }
}

/**
 * Whether no part of `text` lies in more than `depth` others. To be known beforehand: composing a document recurses, and
 * V8 ends the process when it has to compile a regular expression where the stack ends.
 */
function isNestedWithin(text: string, depth: number): boolean {
  const parser = new Parser();
  for (const lexeme of new Lexer().lex(text)) {
    for (const _ of parser.next(lexeme));
    if (parser.stack.length > depth) return false;
  }
  return true;
}

interface Fault {
  readonly message: string;
  readonly pos: [from: number, to: number];
}

function faultsOf(document: Document): Fault[] {
  // a warning is a tag that nobody knows
  const faults: Fault[] = [...document.errors, ...document.warnings];
  if (faults.length > 0) return faults;
  visit(document, {
    Alias(_, alias) {
      const [from, to] = alias.range ?? [0, 0];
      const message = `there is no "&${alias.source}" above that "*${alias.source}" could stand for`;
      if (alias.resolve(document) === undefined) faults.push({ message, pos: [from, to] });
    },
  });
  return faults;
}

interface Place {
  /** `undefined` when there is none; `null` when it is written as nothing at all. */
  readonly value: Node | null | undefined;
  /** Of a value that has one. */
  readonly name: Node | undefined;
  /** What the value is part of, by its name if it has one. */
  readonly within: Node | null;
}

function childOf(parent: Node | null, element: PropertyKey): Omit<Place, 'within'> | undefined {
  if (isMap(parent)) {
    const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(element));
    return pair === undefined ? undefined : { value: nodeOr(pair.value), name: nodeOr(pair.key) ?? undefined };
  }
  if (isSeq(parent) && typeof element === 'number') {
    const item = parent.items[element];
    return item === undefined ? undefined : { value: nodeOr(item), name: undefined };
  }
  return undefined;
}

function nodeOr(value: unknown): Node | null {
  return isNode(value) ? value : null;
}

function resolved(node: Node | null | undefined, document: Document): Node | null {
  return isAlias(node) ? (node.resolve(document) ?? null) : (node ?? null);
}

/** Whether what a value is can be seen on the line where it begins. */
function isOnOneLine(node: Node | null | undefined): boolean {
  if (node?.range == null) return false;
  const isEmpty = node.range[0] === node.range[1];
  return !isEmpty && (!isCollection(node) || node.flow === true);
}
