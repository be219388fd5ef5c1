import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Address,
  formatAddress,
  MAX_SOCKET_PATH_BYTES,
  parseAddress,
} from '../../../src/store/memcached/address.js';

const ACCEPTED: readonly [text: string, address: Address][] = [
  ['cache-1.example_internal', { kind: 'tcp', host: 'cache-1.example_internal', port: 11211 }],
  ['127.0.0.1', { kind: 'tcp', host: '127.0.0.1', port: 11211 }],
  ['127.0.0.1:22122', { kind: 'tcp', host: '127.0.0.1', port: 22122 }],
  ['localhost:1', { kind: 'tcp', host: 'localhost', port: 1 }],
  ['localhost:65535', { kind: 'tcp', host: 'localhost', port: 65535 }],
  ['[::1]', { kind: 'tcp', host: '::1', port: 11211 }],
  ['[2001:db8::1]:11300', { kind: 'tcp', host: '2001:db8::1', port: 11300 }],
  ['[fe80::1%eth0]:11211', { kind: 'tcp', host: 'fe80::1%eth0', port: 11211 }],
  ['unix:/run/memcached/memcached.sock', { kind: 'unix', path: '/run/memcached/memcached.sock' }],
  [`unix:/${'s'.repeat(MAX_SOCKET_PATH_BYTES - 1)}`, { kind: 'unix', path: `/${'s'.repeat(106)}` }],
];

for (const [text, address] of ACCEPTED) {
  test(`${text} is an address`, () => assert.deepEqual(parseAddress(text), address));
}

const REFUSED = [
  '',
  ' ',
  ':11211',
  'host:',
  'host:0',
  'host:65536',
  'host:-1',
  'host:11211 ',
  'host:11211\n',
  'a b:11211',
  'user@host:11211',
  'tcp://host:11211',
  '::1',
  '::1:11211',
  '[::1',
  '[127.0.0.1]:11211',
  '[]:11211',
  'unix:',
  'unix:relative.sock',
  'unix:/with\0nul',
  `unix:/${'s'.repeat(MAX_SOCKET_PATH_BYTES)}`,
  `unix:/${'é'.repeat(MAX_SOCKET_PATH_BYTES / 2)}é`,
];

for (const text of REFUSED) {
  test(`${JSON.stringify(text).slice(0, 40)} is refused by name, with the accepted forms`, () => {
    assert.throws(
      () => parseAddress(text),
      (error: Error) => {
        assert.ok(error.message.includes(JSON.stringify(text)));
        assert.match(error.message, /host, host:port, \[IPv6\], \[IPv6\]:port or unix:\/path/);
        return true;
      },
    );
  });
}

test('an address survives being written and read again', () => {
  const tcp = fc
    .tuple(fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()), fc.integer({ min: 1, max: 65535 }))
    .map(([host, port]): Address => ({ kind: 'tcp', host, port }));
  const unix = fc.stringMatching(/^\/[a-z0-9./ -]{1,60}$/).map((path): Address => ({ kind: 'unix', path }));
  fc.assert(
    fc.property(fc.oneof(tcp, unix), (address) => assert.deepEqual(parseAddress(formatAddress(address)), address)),
  );
});
