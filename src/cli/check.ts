import { z } from 'zod';
import { ConfigError } from '../config/config-error.js';
import { loadConfig } from '../config/load.js';
import { defineCommand } from './command.js';
import { EXIT } from './exit.js';
import { complain, printJson, printLine } from './output.js';

export const checkCommand = defineCommand({
  name: 'check',
  summary: 'say whether a configuration is right, or everything that is wrong with it',
  args: [
    { name: '<file>', help: 'YAML or JSON, or a module (.js, .mjs, .ts) with the configuration as default export' },
  ],
  options: [{ flags: '--json', help: 'print {file, ok, problems: [{message, path, line, column}]}' }],
  schema: z.strictObject({ json: z.literal(true).optional() }),
  async run([file = ''], { json }) {
    try {
      await loadConfig(file);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      if (json) await printJson({ file, ok: false, problems: error.problems.map(inJson) });
      else complain(error.message);
      return EXIT.no;
    }
    await (json ? printJson({ file, ok: true, problems: [] }) : printLine(`${file}: ok`));
    return EXIT.ok;
  },
});

function inJson({ message, path, position }: ConfigError['problems'][number]) {
  return { message, path, line: position?.line, column: position?.column };
}
