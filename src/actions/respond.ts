import { z } from 'zod';
import { Fields } from '../http/fields.js';
import { defineAction } from './action.js';
import { patternSchema } from './pattern.js';

const finalStatus = z.int().min(200).max(599);

/** The status of a response that has one only by its number, such as `respond: 204`. */
const bareStatus = finalStatus.transform((status) => ({ status, body: undefined, type: DEFAULT_TYPE }));

const DEFAULT_TYPE = 'text/plain; charset=utf-8';

export const respondAction = defineAction({
  name: 'respond',
  help: 'answers with a fixed status and a short body',
  schema: () =>
    z.union([
      bareStatus,
      z.strictObject({
        status: finalStatus.default(200).describe('default: 200'),
        body: patternSchema.optional().describe('pattern of the body (default: none)'),
        type: z.string().default(DEFAULT_TYPE).describe(`Content-Type of the body (default: ${DEFAULT_TYPE})`),
      }),
    ]),
  compile:
    ({ status, body, type }) =>
    (exchange) => {
      if (exchange.response !== undefined) return;
      const bytes = body === undefined ? null : Buffer.from(body.expand(exchange), 'latin1');
      const fields = new Fields(bytes === null ? [] : ['Content-Type', type]);
      exchange.respond({ status, fields, body: bytes, delimited: true });
    },
});

export const setStatusAction = defineAction({
  name: 'set_status',
  help: 'changes the status of the response',
  schema: () => finalStatus,
  compile: (status) => (exchange) =>
    exchange.editResponse((response) => {
      response.status = status;
    }),
});
