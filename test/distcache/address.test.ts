import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canConnect, canListen, connectTo, formatAddress, parseAddress } from '../../src/distcache/address.js';

const GOOD: readonly [string, object, { connect: boolean; listen: boolean }][] = [
  ['IP:9001', { kind: 'tcp', family: 4, host: undefined, port: 9001 }, { connect: false, listen: true }],
  ['IP::9001', { kind: 'tcp', family: 4, host: undefined, port: 9001 }, { connect: false, listen: true }],
  ['IP:0', { kind: 'tcp', family: 4, host: undefined, port: 0 }, { connect: false, listen: true }],
  ['IP:localhost:9001', { kind: 'tcp', family: 4, host: 'localhost', port: 9001 }, { connect: true, listen: true }],
  ['IPv4:127.0.0.1:9001', { kind: 'tcp', family: 4, host: '127.0.0.1', port: 9001 }, { connect: true, listen: true }],
  ['IP:127.1:80', { kind: 'tcp', family: 4, host: '127.1', port: 80 }, { connect: true, listen: true }],
  ['IP: 80', { kind: 'tcp', family: 4, host: undefined, port: 80 }, { connect: false, listen: true }],
  ['IP:h:+80', { kind: 'tcp', family: 4, host: 'h', port: 80 }, { connect: true, listen: true }],
  ['IP:65535', { kind: 'tcp', family: 4, host: undefined, port: 65535 }, { connect: false, listen: true }],
  ['IP:[::1]:9001', { kind: 'tcp', family: 6, host: '::1', port: 9001 }, { connect: true, listen: true }],
  ['IPv6:[::1]:9001', { kind: 'tcp', family: 6, host: '::1', port: 9001 }, { connect: true, listen: true }],
  ['IPv6:9001', { kind: 'tcp', family: 6, host: undefined, port: 9001 }, { connect: false, listen: true }],
  ['IPv6:localhost:9001', { kind: 'tcp', family: 6, host: 'localhost', port: 9001 }, { connect: true, listen: true }],
  ['UNIX:rel/path', { kind: 'unix', path: 'rel/path' }, { connect: true, listen: true }],
  ['UNIX:/tmp/a b:c', { kind: 'unix', path: '/tmp/a b:c' }, { connect: true, listen: true }],
  [`UNIX:${'p'.repeat(107)}`, { kind: 'unix', path: 'p'.repeat(107) }, { connect: true, listen: true }],
  ['UNIX:', { kind: 'unix', path: '' }, { connect: false, listen: false }],
];

for (const [text, address, can] of GOOD) {
  test(`${text} is an address`, () => {
    const parsed = parseAddress(text);
    assert.deepEqual(parsed, address);
    assert.deepEqual({ connect: canConnect(parsed), listen: canListen(parsed) }, can);
    assert.deepEqual(parseAddress(formatAddress(parsed)), parsed);
  });
}

const BAD = [
  '',
  'x',
  'ip:9001',
  'unix:/x',
  'ipv4:1',
  'IP:',
  'IP:h:',
  'IP:127.0.0.1',
  'IP:65536',
  'IP:-1',
  'IP:9001x',
  'IP:0x10',
  'IP:a b:1',
  'IP:[nonsense]:1',
  'IP:::1:9001',
  'IPv4:[::1]:9001',
  'IPv5:9001',
  '/tmp/x',
  '9001',
  'FD:3',
  'FD:-1',
  `UNIX:${'p'.repeat(108)}`,
  `UNIX:${'ü'.repeat(54)}`,
  'UNIX:/a\0b',
  `IP:${'h'.repeat(260)}:1`,
];

for (const text of BAD) {
  test(`${JSON.stringify(text).slice(0, 40)} is not an address`, () => {
    assert.throws(() => parseAddress(text), { message: /is not a distcache address/ });
  });
}

test('an address that says nobody is not connected to', () => {
  assert.throws(() => connectTo(parseAddress('IP:9001')), RangeError);
});
