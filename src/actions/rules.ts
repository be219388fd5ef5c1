import { z } from 'zod';
import { utf8ToBytes } from '../http/byte-string.js';
import { type Captures, captureRange } from './captures.js';
import { MAX_SUBJECT_BYTES } from './comparison.js';

/** What is made of a path, when the expression matches it or when there is none. */
export interface Rule<Target> {
  readonly expression: RegExp | undefined;
  readonly target: Target;
}

/** Of bytes; `.` is any of them, so that no rule is got round with a `%0a`. */
function byteExpression(source: string): RegExp {
  return new RegExp(utf8ToBytes(source), 's');
}

const expression = z.string().superRefine((source, check) => {
  try {
    byteExpression(source);
  } catch (error) {
    check.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
  }
});

/**
 * The rules of `rewrite` and `redirect` as lighttpd2 has them: a target for every path, or regular expressions with
 * their targets, of which the first that matches counts.
 */
export function rulesSchema<Target>(target: z.ZodType<Target, string>) {
  const mapping = z.record(expression, target).transform((rules) =>
    Object.entries(rules).map(
      ([source, target]): Rule<Target> => ({
        expression: byteExpression(source),
        target,
      }),
    ),
  );
  return z.union([
    target.transform((always): Rule<Target>[] => [{ expression: undefined, target: always }]),
    mapping,
    z.array(mapping).transform((mappings) => mappings.flat()),
  ]);
}

/** The target of the first rule that matches `path`, with what its expression captured. */
export function firstMatch<Target>(
  rules: readonly Rule<Target>[],
  path: string,
): { readonly target: Target; readonly captures: Captures } | undefined {
  for (const { expression, target } of rules) {
    if (expression === undefined) return { target, captures: () => '' };
    const match = path.length > MAX_SUBJECT_BYTES ? null : expression.exec(path);
    if (match !== null) return { target, captures: (from, to) => captureRange(match, from, to) };
  }
  return undefined;
}
