import { z } from 'zod';

/** Why a text of one of our small languages (patterns, conditions) can not be compiled, and where it goes wrong. */
export abstract class TextError extends Error {
  /** Index of the character in the text, counted from 0. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** The schema of an option that is such a text: its value is what `compile` makes of it. */
export function compiledText<Compiled>(compile: (text: string) => Compiled): z.ZodType<Compiled, string> {
  return z.string().transform((text, check) => {
    try {
      return compile(text);
    } catch (error) {
      if (!(error instanceof TextError)) throw error;
      const message = `${error.message} (at character ${error.offset + 1})`;
      check.issues.push({ code: 'custom', input: text, message });
      return z.NEVER;
    }
  });
}
