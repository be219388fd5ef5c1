/** One thing that is wrong with a configuration. */
export interface ConfigProblem {
  readonly message: string;
  /** Which option it is about, such as `actions[0]["memcached.lookup"].ttl`; empty when it is about the whole file. */
  readonly path: string;
  /** Where it stands in the file; `undefined` when the configuration is code. */
  readonly position?: Position;
}

export interface Position {
  /** From 1. */
  readonly line: number;
  /** In characters, from 1. */
  readonly column: number;
  /** The line as it stands in the file. */
  readonly text: string;
  /** How many characters of it the problem is about. */
  readonly length: number;
}

/** A configuration that can not be used: every reason at once, in the order of the file. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  /** The file as it was named, or what else the configuration came from. */
  readonly file: string;
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[]) {
    const more = problems.length - MAX_DESCRIBED;
    const described = problems.slice(0, MAX_DESCRIBED).map((problem) => describe(file, problem));
    super([...described, ...(more > 0 ? [`${file}: and ${more} more`] : [])].join('\n'));
    this.file = file;
    this.problems = problems;
  }
}

/** How many problems a message describes: nobody reads more, and one unclosed bracket can make thousands. */
const MAX_DESCRIBED = 50;

/** `file:line:column: message`, then the line and a caret; of code the option's path stands for line and column. */
function describe(file: string, { message, path, position }: ConfigProblem): string {
  if (position === undefined) return printable([file, path, message].filter((part) => part !== '').join(': '));
  const { line, column } = position;
  return `${printable(`${file}:${line}:${column}: ${message}`)}\n${excerpt(position)}`;
}

/** How much of a long line is shown, in characters: enough for any line that a person wrote. */
const MAX_EXCERPT = 120;

function excerpt({ text, column, length }: Position): string {
  const from = column <= MAX_EXCERPT ? 0 : column - MAX_EXCERPT / 2;
  const shown = text.slice(from, from + MAX_EXCERPT);
  const before = shown.slice(0, column - 1 - from);
  const carets = Math.max(1, Math.min(length, shown.length - before.length));
  return `  ${printable(shown)}\n  ${before.replace(/[^\t]/g, ' ')}${'^'.repeat(carets)}`;
}

/** Without characters that would do something to a terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => (character === '\t' ? character : '\ufffd'));
}
