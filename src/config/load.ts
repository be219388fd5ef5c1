import { readFile, stat } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { explainIssue, type Problem, problemsOf } from '../actions/issues.js';
import { ConfigError } from './config-error.js';
import { type Settings, settingsSchema } from './schema.js';
import { Source } from './source.js';

/** No configuration that a person keeps is larger, in bytes: what is, is another file named by mistake. */
const MAX_CONFIG_BYTES = 1024 * 1024;

const MODULES: ReadonlySet<string> = new Set(['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts']);

function isModule(file: string): boolean {
  return MODULES.has(extname(file));
}

/**
 * The settings that `file` holds: YAML or JSON, or, by its extension, a JavaScript or TypeScript module whose default
 * export is the configuration. Rejects with a {@link ConfigError} that has everything that is wrong with it.
 */
export async function loadConfig(file: string): Promise<Settings> {
  if (isModule(file)) return settingsOf(await valueOfModule(file), file);
  const source = new Source(file, await textOf(file));
  const checked = check(source.value);
  if ('settings' in checked) return checked.settings;
  const problems = checked.problems.map(({ path, message, about }) => ({
    message,
    path: pathText(path),
    position: about === 'name' ? source.nameAt(path) : source.valueAt(path),
  }));
  problems.sort((a, b) => a.position.line - b.position.line || a.position.column - b.position.column);
  throw new ConfigError(file, problems);
}

/** The configuration in `file` as it is written, unchecked. Rejects as {@link loadConfig} does when it can not be read. */
export async function configValue(file: string): Promise<unknown> {
  return isModule(file) ? valueOfModule(file) : new Source(file, await textOf(file)).value;
}

/**
 * The settings that the configuration `value` gives. Throws a {@link ConfigError} that calls it by `name` and has
 * everything that is wrong with it.
 */
export function settingsOf(value: unknown, name: string): Settings {
  const checked = check(value);
  if ('settings' in checked) return checked.settings;
  throw new ConfigError(
    name,
    checked.problems.map(({ path, message }) => ({ message, path: pathText(path) })),
  );
}

type Checked = { readonly settings: Settings } | { readonly problems: readonly Problem[] };

function check(value: unknown): Checked {
  const checked = settingsSchema.safeParse(value, { error: explainIssue });
  return checked.success ? { settings: checked.data } : { problems: problemsOf(checked.error) };
}

async function textOf(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size <= MAX_CONFIG_BYTES) return await readFile(file, 'utf8');
  } catch (error) {
    throw whole(file, `can not be read: ${messageOf(error)}`);
  }
  throw whole(file, `is larger than ${MAX_CONFIG_BYTES} bytes, and so no configuration`);
}

async function valueOfModule(file: string): Promise<unknown> {
  const isTypeScript = extname(file).endsWith('ts');
  if (isTypeScript && !Reflect.get(process.features, 'typescript')) {
    throw whole(file, `Node ${process.version} can not load TypeScript: take Node 22.18 or later, or write JavaScript`);
  }
  const url = pathToFileURL(resolve(file));
  try {
    // a changed file must be another module, or a reload would get the old one
    url.searchParams.set('changed', String((await stat(file)).mtimeMs));
    const module: { readonly default?: unknown } = await import(url.href);
    if (module.default !== undefined) return module.default;
  } catch (error) {
    throw whole(file, `can not be loaded: ${messageOf(error)}`);
  }
  throw whole(file, 'has no default export: write "export default defineConfig({ … })"');
}

function whole(file: string, message: string): ConfigError {
  return new ConfigError(file, [{ message, path: '' }]);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** As JavaScript would write it: `actions[0]["memcached.lookup"].ttl`. */
function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const element of path) {
    const name = String(element);
    if (typeof element === 'number') text += `[${name}]`;
    else if (/^[A-Za-z_$][\w$]*$/.test(name)) text += text === '' ? name : `.${name}`;
    else text += `[${JSON.stringify(name)}]`;
  }
  return text;
}
