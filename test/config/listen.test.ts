import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ListenAddress, parseListen } from '../../src/config/listen.js';

describe('where to listen', () => {
  const written: { readonly [text: string]: ListenAddress } = {
    '8080': { kind: 'tcp', host: '127.0.0.1', port: 8080 },
    '0': { kind: 'tcp', host: '127.0.0.1', port: 0 },
    '0.0.0.0:80': { kind: 'tcp', host: '0.0.0.0', port: 80 },
    'localhost:65535': { kind: 'tcp', host: 'localhost', port: 65535 },
    '[::]:8080': { kind: 'tcp', host: '::', port: 8080 },
    '[fe80::1]:0': { kind: 'tcp', host: 'fe80::1', port: 0 },
    'unix:/run/lookaside.sock': { kind: 'unix', path: '/run/lookaside.sock' },
  };
  for (const [text, address] of Object.entries(written)) {
    it(`is read from ${text}`, () => assert.deepEqual(parseListen(text), address));
  }

  const wrong = [
    '',
    'localhost',
    ':80',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '127.0.0.1:80a',
    '::1:80',
    '[::1]',
    '[:::1]:80',
  ];
  const wrongSockets = ['unix:', 'unix:lookaside.sock', `unix:/${'x'.repeat(107)}`, 'unix:/a\0b'];
  for (const text of [...wrong, ...wrongSockets]) {
    it(`is not ${JSON.stringify(text.slice(0, 40))}`, () => assert.equal(parseListen(text), undefined));
  }
});
