import { parseCacheControl } from './cache-control.js';
import type { Fields } from './fields.js';
import { varyNames } from './vary.js';

/** Why a shared cache must leave a response alone, or at least does better to. */
export type StorageRefusal = 'set-cookie' | 'private' | 'no-store' | 'no-cache' | 'authorization' | 'vary';

/** Why the response to a request with these fields must not be stored with its fields, or `undefined` when it may be. */
export function storageRefusal(request: Fields, response: Fields): StorageRefusal | undefined {
  if (request.has('authorization')) return 'authorization';
  if (parseCacheControl(request.get('cache-control')).has('no-store')) return 'no-store';
  return responseRefusal(response);
}

/** The same of a response alone, whoever asked for it. */
export function responseRefusal(response: Fields): StorageRefusal | undefined {
  if (response.has('set-cookie')) return 'set-cookie';
  const cacheControl = parseCacheControl(response.get('cache-control'));
  if (cacheControl.has('private')) return 'private';
  if (cacheControl.has('no-store')) return 'no-store';
  if (cacheControl.has('no-cache')) return 'no-cache';
  if (varyNames(response) === '*') return 'vary';
  return undefined;
}
