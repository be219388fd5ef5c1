import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';

/** Files are replaced one after the other: a certificate and its key belong together. */
const SETTLE_MS = 300;

/** Not every file system tells, and not every link is followed: so they are looked at from time to time as well. */
const POLL_MS = 30_000;

/** Calls back when files may have changed, and once in a while although they have not. */
export class FileWatch {
  readonly #changed: () => void;
  readonly #poll: NodeJS.Timeout;
  readonly #watchers: FSWatcher[] = [];
  #settling: NodeJS.Timeout | undefined;

  constructor(files: readonly string[], changed: () => void) {
    this.#changed = changed;
    // of the directory: most programs write a new file and give it the name of the old one
    for (const directory of new Set(files.map((file) => dirname(file)))) this.#watch(directory);
    this.#poll = setInterval(changed, POLL_MS).unref();
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close();
    clearInterval(this.#poll);
    clearTimeout(this.#settling);
  }

  #watch(directory: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, () => this.#settle());
      watcher.on('error', () => watcher.close());
      this.#watchers.push(watcher);
    } catch {
      // such as no inotify watch left: there is the poll
    }
  }

  #settle(): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(this.#changed, SETTLE_MS).unref();
  }
}
