import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Pki } from '../tls/pki.js';
import { packageRoot } from './root.js';

const directory = join(packageRoot, 'config');

/** Where the examples have the files that a machine of its own needs. */
const FILES = '/etc/lookaside/';

/** The files in `config` that a user starts from. */
export const exampleConfigs: readonly string[] = readdirSync(directory).filter((name) => name.endsWith('.yaml'));

/** The text of an example, as it is. */
export function exampleText(name: string): string {
  return readFileSync(join(directory, name), 'utf8');
}

/** The path of an example, or of a copy whose files are there, when it names any. */
export function exampleFile(name: string): string {
  const text = exampleText(name);
  if (!text.includes(`: ${FILES}`)) return join(directory, name);
  pki ??= madeFiles();
  return pki.write(name, text.replaceAll(FILES, `${pki.directory}/`));
}

let pki: Pki | undefined;

function madeFiles(): Pki {
  const made = new Pki();
  const site = made.issue('site.test');
  made.write('site.pem', site.pem);
  made.write('site.key', site.keyPem);
  made.write('secret', `${'0123456789abcdef'.repeat(4)}\n`);
  return made;
}
