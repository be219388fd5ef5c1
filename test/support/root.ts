import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Absolute path of the package: tests run from a build directory below it, fixtures and configs lie in it. */
export const packageRoot = process.env.LOOKASIDE_ROOT ?? findRoot(dirname(fileURLToPath(import.meta.url)));

/** Absolute path of a file under `test/fixtures`. */
export function fixture(...names: string[]): string {
  return join(packageRoot, 'test', 'fixtures', ...names);
}

function findRoot(directory: string): string {
  const manifest = join(directory, 'package.json');
  if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'lookaside') return directory;
  return findRoot(dirname(directory));
}
