import { z } from 'zod';
import { defineAction } from './action.js';
import { patternSchema } from './pattern.js';

export const logWriteAction = defineAction({
  name: 'log.write',
  help: 'writes a line to the log, at level info',
  schema: () =>
    z.union([patternSchema, z.strictObject({ message: patternSchema }).transform(({ message }) => message)]),
  compile: (message) => (exchange) => exchange.log.info(message.expand(exchange)),
});
