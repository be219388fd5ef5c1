import { z } from 'zod';
import type { BoundChain, ChainContext, Step } from './chain.js';
import { explainIssue } from './issues.js';

/** One word of the action vocabulary: config, JSON Schema, reference and error messages derive from it. */
export interface ActionDefinition {
  /** As it is written in a config, such as `memcached.lookup`. */
  readonly name: string;
  /** One line for `--help`, the schema and the reference. */
  readonly help: string;
  /** Its options, given the schema of nested chains. An action without options takes `null` or nothing. */
  schema(chains: ChainSchema): z.ZodType;
  /** Checks `options`; the result is the action, waiting for its context, or the issues zod found. */
  bind(options: unknown, chains: ChainSchema): z.ZodSafeParseSuccess<BoundChain> | z.ZodSafeParseError<unknown>;
}

/** The schema of a chain, for the options that hold one (`hit`, `miss`, `then`, `else`). */
export type ChainSchema = z.ZodType<BoundChain>;

/** Declares an action. `compile` runs once for every loaded configuration, the step it returns once a request. */
export function defineAction<Schema extends z.ZodType>(definition: {
  readonly name: string;
  readonly help: string;
  readonly schema: (chains: ChainSchema) => Schema;
  readonly compile: (options: z.output<Schema>, context: ChainContext) => Step;
}): ActionDefinition {
  const { name, help, schema, compile } = definition;
  return {
    name,
    help,
    schema,
    bind(options, chains) {
      const checked = schema(chains).safeParse(options, { error: explainIssue });
      return checked.success ? { success: true, data: (context) => compile(checked.data, context) } : checked;
    },
  };
}

/** The options of an action that takes none. */
export const noOptions = z.null().optional();
