import type { StoreOptions } from '../store/open.js';
import type { Store } from '../store/store.js';

export interface TakenStore {
  readonly store: Store;
  /** Lets go of it; who was the last to do so closes it. */
  release(): Promise<void>;
}

/**
 * The stores of the configurations that are at work, each open once for all who have the same settings for it. So a
 * reload keeps the connections, and the embedded store what it holds, unless these very settings changed.
 */
export class SharedStores {
  readonly #open: (options: StoreOptions) => Store;
  readonly #taken = new Map<string, { readonly store: Store; users: number }>();

  constructor(open: (options: StoreOptions) => Store) {
    this.#open = open;
  }

  take({ memcached, embedded }: StoreOptions): TakenStore {
    const name = JSON.stringify(memcached ?? embedded);
    const shared = this.#taken.get(name) ?? { store: this.#open({ memcached, embedded }), users: 0 };
    this.#taken.set(name, shared);
    shared.users++;
    return {
      store: shared.store,
      release: async () => {
        shared.users--;
        if (shared.users > 0) return;
        this.#taken.delete(name);
        await shared.store.close();
      },
    };
  }
}
