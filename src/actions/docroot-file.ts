import { realpath, stat } from 'node:fs/promises';
import type { Physical } from './exchange.js';

/** What lies at a path below a docroot, as far as it may be served. */
export type DocrootFile =
  /** `path` is that of the file itself, all symbolic links followed, below the `root` given likewise. */
  | { readonly kind: 'file'; readonly root: Buffer; readonly path: Buffer }
  | { readonly kind: 'directory' }
  | { readonly kind: 'forbidden' }
  | { readonly kind: 'absent' };

const ABSENT: DocrootFile = { kind: 'absent' };

/**
 * Looks up `path` below the docroot. Whatever could not be served is absent: what symbolic links lead out of the
 * docroot to, names that begin with a dot, sockets, FIFOs and devices.
 *
 * Between this look and the reading of the file somebody who may write to the docroot can put another file there, or a
 * link out of it: the docroot's writers are trusted, its visitors are not.
 */
export async function findInDocroot({ docroot }: Physical, path: string): Promise<DocrootFile> {
  if (path.includes('\0') || path.includes('/.')) return ABSENT;
  try {
    const root = await realpath(Buffer.from(`${docroot}/`, 'latin1'), 'buffer');
    const found = await realpath(Buffer.from(docroot + path, 'latin1'), 'buffer');
    if (!isBelow(found, root)) return ABSENT;
    const stats = await stat(found);
    if (stats.isDirectory()) return { kind: 'directory' };
    return stats.isFile() ? { kind: 'file', root, path: found } : ABSENT;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EACCES' || code === 'EPERM') return { kind: 'forbidden' };
    if (typeof code === 'string' && NOTHING_THERE.has(code)) return ABSENT;
    throw error;
  }
}

/** What the file system says of a path that leads nowhere. */
const NOTHING_THERE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP', 'EINVAL']);

const SLASH = 0x2f;

function isBelow(path: Buffer, root: Buffer): boolean {
  if (!path.subarray(0, root.length).equals(root)) return false;
  return path.length === root.length || path[root.length] === SLASH || root.at(-1) === SLASH;
}
