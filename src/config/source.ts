import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
} from 'yaml';
import { ConfigError, type Position } from './config-error.js';

/** A configuration as it stands in a YAML (or JSON) file: its value, and where in the file each part of it is. */
export class Source {
  readonly value: unknown;
  readonly #text: string;
  readonly #document: Document;
  readonly #lines = new LineCounter();

  /** Throws a {@link ConfigError} with every error of syntax; names that occur twice are among them. */
  constructor(file: string, text: string) {
    this.#text = text;
    try {
      this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
      this.value = this.#document.errors.length === 0 ? this.#document.toJS() : undefined;
    } catch (error) {
      // nested beyond the stack, or aliases that would grow beyond all bounds
      throw new ConfigError(file, [{ message: error instanceof Error ? error.message : String(error), path: '' }]);
    }
    // a warning is a tag that nobody knows
    const faults = [...this.#document.errors, ...this.#document.warnings];
    if (faults.length === 0) return;
    const problems = faults.map(({ message, pos: [from, to] }) => ({
      message,
      path: '',
      position: this.#position(from, to),
    }));
    throw new ConfigError(file, problems);
  }

  /** Where the value at `path` stands; when there is none, or it goes over many lines, where its name does. */
  valueAt(path: readonly PropertyKey[]): Position {
    const { value, name, found } = this.#find(path);
    return this.#positionOf(found && isOnOneLine(value) ? value : (name ?? value));
  }

  /** Where the name stands that `path` ends with. */
  nameAt(path: readonly PropertyKey[]): Position {
    const { value, name } = this.#find(path);
    return this.#positionOf(name ?? value);
  }

  #find(path: readonly PropertyKey[]): Place {
    let place: Place = { value: this.#document.contents, name: undefined, found: true };
    for (const element of path) {
      const inside = childOf(resolved(place.value, this.#document), element);
      if (inside === undefined) return { ...place, found: false };
      place = { value: inside.value, name: inside.name ?? place.name, found: true };
    }
    return place;
  }

  #positionOf(node: Node | null): Position {
    const [from, to] = node?.range ?? [0, 0];
    return this.#position(from, to);
  }

  #position(from: number, to: number): Position {
    const { line, col } = this.#lines.linePos(from);
    const start = from - (col - 1);
    const end = this.#text.indexOf('\n', start);
    const text = this.#text.slice(start, end < 0 ? undefined : end).replace(/\r$/, '');
    return { line, column: col, text, length: Math.max(1, to - from) };
  }
}

interface Place {
  readonly value: Node | null;
  /** The nearest name above or at the value. */
  readonly name: Node | undefined;
  readonly found: boolean;
}

function childOf(parent: Node | null, element: PropertyKey): Omit<Place, 'found'> | undefined {
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

function resolved(node: Node | null, document: Document): Node | null {
  return isAlias(node) ? (node.resolve(document) ?? null) : node;
}

function isOnOneLine(node: Node | null): boolean {
  if (node === null || node.range == null) return false;
  const isEmpty = node.range[0] === node.range[1];
  return !isEmpty && (!isCollection(node) || node.flow === true);
}
