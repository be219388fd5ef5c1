import { z } from 'zod';
import { didYouMean } from './suggest.js';

/** What is wrong with options, and where: in the words of whoever wrote them, not of the validator. */
export interface Problem {
  /** From the root of what was checked; of an option that is missing or unknown, the last element is its name. */
  readonly path: readonly PropertyKey[];
  readonly message: string;
  /** Whether it is the name at the end of the path that is wrong, or the value it has. */
  readonly about: 'name' | 'value';
}

/**
 * The `error` of every `safeParse` of options. Names what was found and what is expected, and of unknown names the known
 * one that is nearest. An issue with several unknown keys gets one line for each: {@link problemsOf} takes them apart.
 */
export const explainIssue: z.core.$ZodErrorMap = (issue) => {
  if (issue.code === 'unrecognized_keys') {
    const known = issue.inst instanceof z.ZodObject ? Object.keys(issue.inst.shape) : [];
    return issue.keys.map((key) => `unknown option ${shown(key)}${didYouMean(key, known)}`).join('\n');
  }
  if (issue.input === undefined) return `${nameIn(issue.path)} is missing`;
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${typeName(issue.expected)}, found ${shown(issue.input)}`;
    case 'invalid_value': {
      const values = issue.values.map(String);
      return `${shown(issue.input)} is not one of ${values.join(', ')}${didYouMean(String(issue.input), values)}`;
    }
    case 'too_small':
      return `${shown(issue.input)} is too small: expected ${amount(issue.minimum, issue.origin)} or more`;
    case 'too_big':
      return `${shown(issue.input)} is too large: expected ${amount(issue.maximum, issue.origin)} or less`;
    case 'invalid_union': {
      const expected = issue.errors.flat().filter((inner) => inner.code === 'invalid_type');
      const names = new Set(expected.map((inner) => typeName(inner.expected)));
      return names.size === 0 ? undefined : `expected ${[...names].join(' or ')}, found ${shown(issue.input)}`;
    }
    default:
      return undefined;
  }
};

/** Everything that is wrong, one problem each, in the order of the schema. */
export function problemsOf(error: z.core.$ZodError): Problem[] {
  return error.issues.flatMap((issue) => problemsIn(issue, []));
}

function problemsIn(issue: z.core.$ZodIssue, base: readonly PropertyKey[]): Problem[] {
  const path = [...base, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    const messages = issue.message.split('\n');
    return issue.keys.map((key, at) => ({
      path: [...path, key],
      message: messages[at] ?? issue.message,
      about: 'name',
    }));
  }
  if (issue.code === 'invalid_key') {
    return issue.issues.map(({ message }) => ({ path, message, about: 'name' }));
  }
  if (issue.code === 'invalid_union') {
    const [meant, ...others] = issue.errors.filter((branch) => !isOtherKind(branch));
    if (meant !== undefined && others.length === 0) return meant.flatMap((inner) => problemsIn(inner, path));
  }
  return [{ path, message: issue.message, about: 'value' }];
}

/** Whether a branch of a union is not what the writer had in mind: the value is of another type altogether. */
function isOtherKind(branch: readonly z.core.$ZodIssue[]): boolean {
  return branch.some(({ code, path }) => path.length === 0 && (code === 'invalid_type' || code === 'invalid_union'));
}

function nameIn(path: readonly PropertyKey[] | undefined): string {
  const name = path?.at(-1);
  return name === undefined ? 'a value (name: value)' : `"${String(name)}"`;
}

const TYPE_NAMES: { readonly [type: string]: string } = {
  array: 'a list',
  boolean: 'true or false',
  int: 'a whole number',
  null: 'nothing',
  number: 'a number',
  object: 'options (name: value)',
  record: 'names with values (name: value)',
  string: 'text',
  undefined: 'nothing',
};

function typeName(type: string): string {
  return TYPE_NAMES[type] ?? type;
}

function amount(limit: number | bigint, origin: string): string {
  if (origin === 'string') return `${limit} characters`;
  return origin === 'array' ? `${limit} items` : `${limit}`;
}

/** The longest piece of a configuration that a message repeats, in characters. */
const MAX_SHOWN = 80;

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object' && value !== null) return 'options (name: value)';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
