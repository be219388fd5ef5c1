import { z } from 'zod';
import { fileText } from '../actions/file-text.js';

/** HMAC-SHA-256 is as strong as its key; what people make up has less in it than random bytes. */
const secret = z
  .string()
  .min(32, { error: 'a secret of fewer than 32 characters can be guessed: take `openssl rand -hex 32`' });

/** A secret, or the current one and the one before: always a list, the current one first. */
export const secretsSchema = z.union([secret.transform((one) => [one]), z.array(secret).min(1).max(2)]);

/** A file with the same, one secret a line. */
export const secretFileSchema = fileText
  .transform((text) => text.trimEnd().split(/\r?\n/))
  .pipe(z.array(secret).min(1).max(2));

/** Complains when a section has both `secret` and `secretFile`. */
export function checkOneSecret(
  section: { readonly secret?: unknown; readonly secretFile?: unknown },
  check: z.RefinementCtx,
): void {
  if (section.secret === undefined || section.secretFile === undefined) return;
  check.addIssue({ code: 'custom', path: ['secretFile'], message: 'give either secret or secretFile' });
}
