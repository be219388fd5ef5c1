import type { Settings } from '../config/schema.js';
import type { Store } from '../store/store.js';

/** What says which store it is: one without memcached is the embedded one. */
export type StoreSettings = Partial<Pick<Settings, 'memcached' | 'embedded'>>;

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
  readonly #open: (settings: StoreSettings) => Store;
  readonly #taken = new Map<string, { readonly store: Store; users: number }>();

  constructor(open: (settings: StoreSettings) => Store) {
    this.#open = open;
  }

  take(settings: StoreSettings): TakenStore {
    const name = JSON.stringify(settings.memcached ?? settings.embedded);
    const shared = this.#taken.get(name) ?? { store: this.#open(settings), users: 0 };
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
