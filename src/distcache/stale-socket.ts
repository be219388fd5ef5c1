import { lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';

/** What a unix socket can not be made beside: one that somebody listens on, or a file of another kind. */
export type Obstacle = 'listener' | 'file';

/**
 * Removes the socket file that a process has left at `path` when it was killed. Resolves to what else is in the way, which
 * is left alone; a path that can not be looked at is left to whoever makes the socket.
 */
export async function removeStaleSocket(path: string): Promise<Obstacle | undefined> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  if (!found.isSocket()) return 'file';
  if (!(await isStale(path))) return 'listener';
  await unlink(path);
  return undefined;
}

/** Whether connecting is refused, which is what a socket without listener does. Any other outcome is none of a stale one. */
function isStale(path: string): Promise<boolean> {
  return new Promise((answer) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      answer(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => answer(error.code === 'ECONNREFUSED'));
  });
}
