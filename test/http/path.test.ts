import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseTarget } from '../../src/http/path.js';

const PLAIN: readonly (readonly [target: string, path: string, query: string])[] = [
  ['/', '/', ''],
  ['/a/b.html', '/a/b.html', ''],
  ['/a/', '/a/', ''],
  ['/a?b=c', '/a', 'b=c'],
  ['/?', '/', ''],
  ['/a?b?c', '/a', 'b?c'],
  ['/a?x=%2f..//', '/a', 'x=%2f..//'],
  ['/.well-known/acme', '/.well-known/acme', ''],
  ['/a/..b/...', '/a/..b/...', ''],
  ['/a%20b', '/a b', ''],
  ['/%41%7E%2Dz', '/A~-z', ''],
  ['/caf%C3%A9', '/caf\xc3\xa9', ''],
  ['/a%2Ehtml', '/a.html', ''],
  ['/account;x.css', '/account;x.css', ''],
  ['*', '*', ''],
];

const AMBIGUOUS: readonly (readonly [target: string, path: string])[] = [
  // the cases of cache deception
  ['/account%3bx.css', '/account;x.css'],
  ['/account%00.css', '/account\0.css'],
  ['/account%0a.css', '/account\n.css'],
  ['/account%7f', '/account\x7f'],
  ['/account%23x.css', '/account#x.css'],
  ['/account%3fx.css', '/account?x.css'],
  ['/account%2fx.css', '/account/x.css'],
  ['/static/..%2faccount', '/account'],
  ['/static/%2e%2e/account', '/account'],
  ['/static/%2E./account', '/account'],
  ['//account', '/account'],
  ['/account//', '/account/'],
  ['/static\\..\\account', '/static\\..\\account'],
  ['/static%5caccount', '/static\\account'],
  ['/account#x.css', '/account#x.css'],
  // other ways to say one thing twice
  ['/a/./b', '/a/b'],
  ['/a/../b', '/b'],
  ['/a/b/..', '/a/'],
  ['/a/.', '/a/'],
  ['/..', '/'],
  ['/../../a', '/a'],
  ['/a/%2e', '/a/'],
  ['/a%252f', '/a%2f'],
  ['/100%', '/100%'],
  ['/a%zz', '/a%zz'],
  ['/a%4', '/a%4'],
  ['/%%41', '/%A'],
];

test('a plain target is taken apart and is not ambiguous', () => {
  for (const [target, path, query] of PLAIN) {
    assert.deepEqual(parseTarget(target), { target, path, query, ambiguousPath: false });
  }
});

test('a target that the origin may read in another way is ambiguous', () => {
  for (const [target, path] of AMBIGUOUS) {
    assert.deepEqual(parseTarget(target), { target, path, query: '', ambiguousPath: true });
  }
});

test('every escaped delimiter is ambiguous', () => {
  for (const char of ":/?#[]@!$&'()*+,;=%\\") {
    const escaped = `/a%${char.charCodeAt(0).toString(16)}b`;
    assert.ok(parseTarget(escaped).ambiguousPath, escaped);
  }
});

test('a fragment in the query makes a target ambiguous', () => {
  assert.deepEqual(parseTarget('/a?b#c'), { target: '/a?b#c', path: '/a', query: 'b#c', ambiguousPath: true });
});

test('an absolute-form target is reduced to its origin-form', () => {
  assert.equal(parseTarget('http://example.com/a?b').target, '/a?b');
  assert.equal(parseTarget('HTTPS://user@example.com:8443/a').target, '/a');
  assert.equal(parseTarget('http://example.com').target, '/');
  assert.equal(parseTarget('http://example.com?b').target, '/?b');
});

test('a target of no known form can not change the origin it is appended to', () => {
  assert.equal(parseTarget('@evil.example/').target, '/@evil.example/');
  assert.equal(parseTarget('').target, '/');
  assert.equal(parseTarget('.evil.example').target, '/.evil.example');
});

const anyTarget = fc
  .array(fc.constantFrom('/', '.', '..', '%2e', '%2F', '%5c', '\\', 'a', 'b', '%41', '%', '%c3', '#', '?', ';'), {
    maxLength: 12,
  })
  .map((pieces) => `/${pieces.join('')}`);

test('a path is simple: it begins with a slash and has no empty, "." or ".." segment', () => {
  fc.assert(
    fc.property(anyTarget, (target) => {
      const { path } = parseTarget(target);
      const [root, ...segments] = path.split('/');
      assert.equal(root, '');
      if (segments.at(-1) === '') segments.pop();
      for (const segment of segments) assert.ok(!['', '.', '..'].includes(segment), path);
    }),
  );
});

test('a path that is not ambiguous is the target with harmless escapes decoded', () => {
  fc.assert(
    fc.property(anyTarget, (target) => {
      const { path, query, ambiguousPath } = parseTarget(target);
      if (ambiguousPath) return;
      const encoded = path.replace(/[^!-~]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
      const sent = target.split('?', 1)[0]?.replaceAll('%41', 'A').replaceAll('%2e', '.');
      assert.equal(encoded, sent);
      assert.equal(target.includes('?') ? target.slice(target.indexOf('?') + 1) : '', query);
    }),
  );
});

test('two targets without a query that are not ambiguous have one path only when they differ in escapes', () => {
  fc.assert(
    fc.property(anyTarget, anyTarget, (a, b) => {
      const [left, right] = [parseTarget(a), parseTarget(b)];
      if (left.ambiguousPath || right.ambiguousPath || left.path !== right.path) return;
      const plain = (target: string) => Buffer.from(target.split('?', 1)[0] ?? '').toString('latin1');
      assert.equal(unescaped(plain(a)), unescaped(plain(b)));
    }),
  );
});

function unescaped(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
