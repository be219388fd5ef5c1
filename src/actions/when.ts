import { z } from 'zod';
import { defineAction } from './action.js';
import { conditionSchema } from './condition.js';

/** Spelt apart: an object written with a property `then` looks like a promise. */
const THEN = 'then';

export const whenAction = defineAction({
  name: 'when',
  help: 'runs one chain when a condition holds, and another when it does not',
  schema: (chains) =>
    z
      .strictObject({
        if: conditionSchema.describe('condition, such as req.path =^ "/api" and req.method == "GET"'),
        [THEN]: chains.describe('actions to run when it holds'),
        else: chains.optional().describe('actions to run when it does not'),
      })
      .transform((options) => ({ test: options.if, holding: options[THEN], failing: options.else })),
  compile: ({ test, holding, failing }, context) => {
    const whenTrue = holding(context);
    const whenFalse = failing?.(context);
    return (exchange) => (test(exchange) ? whenTrue(exchange) : whenFalse?.(exchange));
  },
});
