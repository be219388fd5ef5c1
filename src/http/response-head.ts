import type { Fields } from './fields.js';

/** A response without its body. */
export interface ResponseHead {
  readonly status: number;
  readonly fields: Fields;
}
