import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cachingProxy } from '../../src/config/caching-proxy.js';
import { settingsOf } from '../../src/config/load.js';

const UPSTREAM = 'http://127.0.0.1:3000';
const rule = (defaultTtl: string) => ({ status: [200, 301, 302], defaultTtl });

function cacheOf(options: Parameters<typeof cachingProxy>[1]): { readonly [name: string]: unknown } {
  const config = cachingProxy(UPSTREAM, options);
  settingsOf(config, 'test');
  return Object(config.actions)['memcached.cache'];
}

test('is the shared cache around one proxy, careful, and with a ttl for what says nothing of it', () => {
  assert.deepEqual(cacheOf({}), { profile: 'safe', rules: [rule('30s')], chain: { proxy: UPSTREAM } });
  assert.deepEqual(cacheOf({ ttl: '5m' }).rules, [rule('5m')]);
});

test('by the RFC is it without a ttl that the RFC does not have, unless it is given one', () => {
  assert.deepEqual(cacheOf({ profile: 'rfc' }), { profile: 'rfc', rules: [], chain: { proxy: UPSTREAM } });
  assert.deepEqual(cacheOf({ profile: 'rfc', ttl: '5m' }).rules, [rule('5m')]);
});

test('has the key that it is given', () => {
  assert.equal(cacheOf({ key: '%{req.path}' }).key, '%{req.path}');
});
