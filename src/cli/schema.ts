import { z } from 'zod';
import { configJsonSchema } from '../config/json-schema.js';
import { defineCommand } from './command.js';
import { EXIT } from './exit.js';
import { printLine } from './output.js';

export const schemaCommand = defineCommand({
  name: 'schema',
  summary: 'print the JSON Schema of configurations, for editors',
  args: [],
  options: [],
  schema: z.strictObject({}),
  async run() {
    await printLine(JSON.stringify(configJsonSchema(), null, 2));
    return EXIT.ok;
  },
});
