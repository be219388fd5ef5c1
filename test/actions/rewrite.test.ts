import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { rewriteAction } from '../../src/actions/rewrite.js';
import { stepOf } from '../support/action.js';
import { exchangeOf } from '../support/exchange.js';

async function rewritten(options: unknown, url: string, captures: string[] = []) {
  const exchange = await exchangeOf({ url });
  exchange.captures = captures;
  await stepOf(rewriteAction, options)(exchange);
  const { target, path, query, ambiguousPath } = exchange.request;
  return { target, path, query, ambiguousPath };
}

const targetOf = async (options: unknown, url: string) => (await rewritten(options, url)).target;

describe('rewrite', () => {
  test('gives every request the path', async () => {
    assert.deepEqual(await rewritten('/new/path', '/old'), {
      target: '/new/path',
      path: '/new/path',
      query: '',
      ambiguousPath: false,
    });
  });

  test('leaves the query as it is, unless the target has one of its own', async () => {
    assert.equal(await targetOf('/new', '/old?a=1&b=%20'), '/new?a=1&b=%20');
    assert.equal(await targetOf('/new?', '/old?a=1'), '/new');
    assert.equal(await targetOf('/new?x=%{req.path}&%{req.query}', '/old?a=1'), '/new?x=/old&a=1');
    assert.equal(await targetOf('/a\\?b', '/old?q'), '/a%3Fb?q');
  });

  test('takes the first expression that matches the decoded path', async () => {
    const rules = { '^/article/(\\d+)/.*$': '/article.php?id=$1', '^/(a)(.*)$': '/$2/$1', '^/a': '/never' };
    assert.equal(await targetOf(rules, '/article/17/title?q'), '/article.php?id=17');
    assert.equal(await targetOf(rules, '/abc'), '/bc/a');
    assert.equal(await targetOf([{ '^/x': '/1' }, { '^/y': '/2' }], '/y'), '/2');
    assert.equal(await targetOf(rules, '/other?q'), '/other?q');
    assert.equal(await targetOf({ '^/ä$': '/umlaut' }, '/%c3%a4'), '/umlaut');
  });

  test('inserts captures of a condition', async () => {
    assert.equal((await rewritten('/%1', '/old', ['all', 'one'])).target, '/one');
  });

  test('encodes what it inserts, and simplifies it: the upstream gets the path that keys see', async () => {
    const { target, path } = await rewritten({ '^/in/(.*)$': '/out/$1' }, '/in/a%20b%3fc%0d%0a%c3%a4;x');
    assert.equal(target, '/out/a%20b%3Fc%0D%0A%C3%A4;x');
    assert.equal(path, '/out/a b?c\r\n\xc3\xa4;x');
    assert.equal(await targetOf({ '^/in/(.*)$': '/out/../$1' }, '/in//evil.example'), '/evil.example');
    assert.equal(await targetOf('no-slash', '/'), '/no-slash');
    assert.equal(await targetOf({ '^(.*)$': '/?p=$1' }, '/a%0d%0aX:%20%231'), '/?p=/a%0D%0AX:%20%231');
  });

  test('whatever the path, the target is one that can be sent, and says what the path says', async () => {
    const step = stepOf(rewriteAction, { '^/(.*)$': '/base/$1?%{req.query}&$1' });
    const exchange = await exchangeOf();
    const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: byte }), fc.string({ unit: byte }), async (path, query) => {
        Object.assign(exchange.request, { path: `/${path}`, query });
        await step(exchange);
        const { target } = exchange.request;
        assert.match(target, /^\/[\x21-\x7e]*$/);
        assert.doesNotMatch(target, /^\/\//);
        assert.doesNotMatch(target, /[#\\]/);
      }),
    );
  });

  test('wrong rules are refused', () => {
    assert.throws(() => stepOf(rewriteAction, { '(': '/x' }), /Invalid regular expression/);
    assert.throws(() => stepOf(rewriteAction, '/%{nothing}'), /unknown variable/);
    assert.throws(() => stepOf(rewriteAction, '/ok?%{nothing}'), /unknown variable/);
    assert.throws(() => stepOf(rewriteAction, 7));
  });
});
