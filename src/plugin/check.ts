import type { z } from 'zod';
import { explainIssue, problemsOf } from '../actions/issues.js';
import { InvalidOptionsError } from './errors.js';

/** What `options` come to by their schema. Throws an {@link InvalidOptionsError} with everything that is wrong with them. */
export function checked<Schema extends z.ZodType>(schema: Schema, options: unknown, where: string): z.output<Schema> {
  const result = schema.safeParse(options, { error: explainIssue });
  if (result.success) return result.data;
  const problems = problemsOf(result.error).map(({ path, message, about }) => {
    const place = about === 'name' ? path.slice(0, -1) : path;
    return place.length === 0 ? message : `${place.join('.')}: ${message}`;
  });
  throw new InvalidOptionsError(where, problems.join('; '));
}
