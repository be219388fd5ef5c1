import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** The text of a file, for what should not stand in the configuration itself. Read when the configuration is loaded. */
export const fileText: z.ZodType<string, string> = z.string().transform((path, check) => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    check.issues.push({ code: 'custom', message: `the file can not be read: ${reason}`, input: path });
    return z.NEVER;
  }
});
