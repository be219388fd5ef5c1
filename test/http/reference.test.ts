import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { resolveWithinOrigin } from '../../src/http/reference.js';

const BASE = 'http://a/b/c/d;p?q';

test('references are resolved as RFC 3986, section 5.4 shows', () => {
  const cases: readonly (readonly [reference: string, wanted: string])[] = [
    ['g', 'http://a/b/c/g'],
    ['./g', 'http://a/b/c/g'],
    ['g/', 'http://a/b/c/g/'],
    ['/g', 'http://a/g'],
    ['?y', 'http://a/b/c/d;p?y'],
    ['g?y', 'http://a/b/c/g?y'],
    ['#s', 'http://a/b/c/d;p?q'],
    ['g#s', 'http://a/b/c/g'],
    ['g?y#s', 'http://a/b/c/g?y'],
    [';x', 'http://a/b/c/;x'],
    ['g;x=1/./y', 'http://a/b/c/g;x=1/y'],
    ['', 'http://a/b/c/d;p?q'],
    ['.', 'http://a/b/c/'],
    ['./', 'http://a/b/c/'],
    ['..', 'http://a/b/'],
    ['../', 'http://a/b/'],
    ['../g', 'http://a/b/g'],
    ['../..', 'http://a/'],
    ['../../g', 'http://a/g'],
    ['../../../../g', 'http://a/g'],
    ['/./g', 'http://a/g'],
    ['/../g', 'http://a/g'],
    ['g.', 'http://a/b/c/g.'],
    ['.g', 'http://a/b/c/.g'],
    ['..g', 'http://a/b/c/..g'],
    ['./../g', 'http://a/b/g'],
    ['./g/.', 'http://a/b/c/g/'],
    ['g/../h', 'http://a/b/c/h'],
    ['g?y/../x', 'http://a/b/c/g?y/../x'],
  ];
  for (const [reference, wanted] of cases) assert.equal(resolveWithinOrigin(BASE, reference), wanted, reference);
});

test('an absolute reference holds when its origin is the same, however it is spelled', () => {
  for (const reference of ['http://a/x', 'HTTP://A/x', 'http://a:80/x', 'http://a./x', '//a/x', 'http://a:/x']) {
    assert.equal(resolveWithinOrigin(BASE, reference), 'http://a/x', reference);
  }
  assert.equal(resolveWithinOrigin(BASE, 'http://a'), 'http://a/');
  assert.equal(resolveWithinOrigin(BASE, 'http://a?y'), 'http://a/?y');
  assert.equal(resolveWithinOrigin('https://a:8443/', 'https://A:8443/x'), 'https://a:8443/x');
});

test('a reference to another origin, or of another kind, is none', () => {
  for (const reference of [
    'https://a/x',
    'http://b/x',
    '//b/x',
    'http://a:81/x',
    'http://u@a/x',
    'mailto:a@b',
    'g:h',
  ]) {
    assert.equal(resolveWithinOrigin(BASE, reference), undefined, reference);
  }
  assert.equal(resolveWithinOrigin('a', '/x'), undefined);
});

test('bytes are neither decoded nor encoded', () => {
  assert.equal(resolveWithinOrigin(BASE, '/%2e%2e/\xe9 \\"'), 'http://a/%2e%2e/\xe9 \\"');
});

test('paths are resolved as by the URL parser of the platform, for characters that it does not encode', () => {
  const segment = fc.constantFrom('.', '..', 'x', 'y;z', '...', '');
  const path = fc.array(segment, { minLength: 1, maxLength: 6 }).map((segments) => segments.join('/'));
  fc.assert(
    fc.property(fc.constantFrom('', '/x/'), path, fc.constantFrom('', '?q=/../'), (start, path, query) => {
      const reference = start + path + query;
      // An empty segment in front makes an authority of what follows.
      fc.pre(!reference.startsWith('//'));
      assert.equal(resolveWithinOrigin(BASE, reference), new URL(reference, BASE).href);
    }),
  );
});
