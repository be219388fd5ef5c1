import assert from 'node:assert/strict';
import { it } from 'node:test';
import { keyUsesOf } from '../../src/config/key-uses.js';

it('finds every key and server of the caching actions, however deep, and each once', () => {
  const config = {
    actions: [
      'memcached.store',
      {
        'memcached.lookup': {
          key: '%{req.host}',
          hit: [{ 'header.add': { key: 'not this one' } }],
          miss: [
            { 'memcached.store': { key: '%{req.host}', ttl: 5 } },
            { when: { if: 'a', else: { 'memcached.store': { key: 'other', server: '10.0.0.9' } } } },
          ],
        },
      },
      { 'memcached.lookup': null },
    ],
  };
  assert.deepEqual(keyUsesOf(config), [
    { pattern: undefined, server: undefined },
    { pattern: '%{req.host}', server: undefined },
    { pattern: 'other', server: '10.0.0.9' },
  ]);
});

it('finds nothing where nothing is kept', () => {
  assert.deepEqual(keyUsesOf({ actions: [{ proxy: 'http://127.0.0.1:3000' }] }), []);
});
