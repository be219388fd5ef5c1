import type { Store } from '../../src/store/store.js';

/** `store`, but with these operations in place of its own: for what goes wrong between a caller and a store. */
export function overridden(store: Store, operations: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, name) {
      const own: unknown = Reflect.get(operations, name) ?? Reflect.get(target, name);
      return typeof own === 'function' ? own.bind(target) : own;
    },
  });
}
