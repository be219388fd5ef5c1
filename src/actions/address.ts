import { z } from 'zod';
import { type Address, parseAddress } from '../store/memcached/address.js';

/** The schema of an option that is the address of a memcached. */
export const addressSchema: z.ZodType<Address, string> = z.string().transform((text, check) => {
  try {
    return parseAddress(text);
  } catch (error) {
    check.issues.push({ code: 'custom', message: error instanceof Error ? error.message : String(error), input: text });
    return z.NEVER;
  }
});
