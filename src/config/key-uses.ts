/** One place of a configuration where entries are kept or looked for. */
interface KeyUse {
  /** Pattern of the key; `undefined` is the actions' default. */
  readonly pattern: string | undefined;
  /** The memcached that this action has for itself; `undefined` is the configured store. */
  readonly server: string | undefined;
}

const CACHING_ACTIONS: ReadonlySet<string> = new Set(['memcached.lookup', 'memcached.store']);

/**
 * Under which keys, and where, the chain of a configuration keeps responses; each once. `value` is the configuration as
 * it is written, and found right: nothing is checked here.
 */
export function keyUsesOf(value: unknown): KeyUse[] {
  const uses = new Map<string, KeyUse>();
  for (const use of usesIn(value)) uses.set(JSON.stringify([use.pattern, use.server]), use);
  return [...uses.values()];
}

function* usesIn(value: unknown): Iterable<KeyUse> {
  if (typeof value === 'string' && CACHING_ACTIONS.has(value)) yield useOf({});
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    if (CACHING_ACTIONS.has(name)) yield useOf(Object(inner));
    yield* usesIn(inner);
  }
}

function useOf({ key, server }: { readonly key?: unknown; readonly server?: unknown }): KeyUse {
  return {
    pattern: typeof key === 'string' ? key : undefined,
    server: typeof server === 'string' ? server : undefined,
  };
}
