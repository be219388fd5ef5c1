import { z } from 'zod';
import type { ActionDefinition, ChainSchema } from './action.js';
import { cacheAction } from './cache.js';
import { type BoundChain, chain } from './chain.js';
import { docrootAction } from './docroot.js';
import { headerActions } from './header.js';
import { indexAction } from './index-file.js';
import { logWriteAction } from './log-write.js';
import { lookupAction } from './lookup.js';
import { proxyAction } from './proxy.js';
import { redirectAction } from './redirect.js';
import { respondAction, setStatusAction } from './respond.js';
import { rewriteAction } from './rewrite.js';
import { staticAction } from './static.js';
import { storeAction } from './store.js';
import { didYouMean } from './suggest.js';
import { whenAction } from './when.js';

/** THE table: every action there is. Config validation, JSON Schema, reference and error messages derive from it. */
export const ACTIONS: readonly ActionDefinition[] = [
  cacheAction,
  lookupAction,
  storeAction,
  proxyAction,
  staticAction,
  respondAction,
  redirectAction,
  rewriteAction,
  docrootAction,
  indexAction,
  ...headerActions,
  setStatusAction,
  logWriteAction,
  whenAction,
];

const BY_NAME: ReadonlyMap<string, ActionDefinition> = new Map(ACTIONS.map((action) => [action.name, action]));

/** How deep chains may lie in one another. More is a mistake, and would only exhaust the stack. */
const MAX_CHAIN_DEPTH = 32;

/**
 * The schema of a chain as a config writes it: a list of actions, each a name (`static`) or a name with its options
 * (`{docroot: /var/www}`). A single action may stand without the list.
 */
export const chainSchema: ChainSchema = chainSchemaAt(0);

function chainSchemaAt(depth: number): ChainSchema {
  return z.unknown().transform((value, check) => {
    if (value === undefined) {
      check.issues.push({ code: 'invalid_type', expected: 'array', input: value });
      return z.NEVER;
    }
    const bound: BoundChain[] = [];
    for (const [index, entry] of (Array.isArray(value) ? value : [value]).entries()) {
      const found = depth < MAX_CHAIN_DEPTH ? bind(entry, depth) : fault('chains are nested too deeply');
      if (found.success) {
        bound.push(found.chain);
        continue;
      }
      const at = Array.isArray(value) ? [index] : [];
      for (const issue of found.issues) {
        check.issues.push({ ...issue, input: issue.input, path: [...at, ...issue.path] } as z.core.$ZodRawIssue);
      }
    }
    return (context) => chain(bound.map((action) => action(context)));
  });
}

type Bound =
  | { readonly success: true; readonly chain: BoundChain }
  | { readonly success: false; readonly issues: readonly z.core.$ZodIssue[] };

function fault(message: string): Bound {
  return { success: false, issues: [{ code: 'custom', message, path: [], input: undefined }] };
}

function bind(entry: unknown, depth: number): Bound {
  if (typeof entry === 'string') return bindNamed(entry, undefined, [], depth);
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    return fault('an action is a name, or a name with its options');
  }
  const [[name, options] = ['', undefined], ...more] = Object.entries(entry);
  if (more.length === 0) return bindNamed(name, options, [name], depth);
  return fault(`one action a list item, found ${Object.keys(entry).join(', ')}: put a dash in front of each`);
}

function bindNamed(name: string, options: unknown, path: PropertyKey[], depth: number): Bound {
  const action = BY_NAME.get(name);
  if (action === undefined) {
    const message = `unknown action "${name}"${didYouMean(name, BY_NAME.keys())}`;
    if (path.length === 0) return fault(message);
    return {
      success: false,
      issues: [{ code: 'unrecognized_keys', keys: [name], message, path: [], input: undefined }],
    };
  }
  const checked = action.bind(options, chainSchemaAt(depth + 1));
  if (checked.success) return { success: true, chain: checked.data };
  return {
    success: false,
    issues: checked.error.issues.map((issue) => ({ ...issue, path: [...path, ...issue.path] })),
  };
}
