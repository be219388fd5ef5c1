import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { redirectAction } from '../../src/actions/redirect.js';
import { Fields } from '../../src/http/fields.js';
import { stepOf } from '../support/action.js';
import { exchangeOf } from '../support/exchange.js';

async function redirected(options: unknown, url: string, host = 'example.com') {
  const exchange = await exchangeOf({ url, headers: { host } });
  await stepOf(redirectAction, options)(exchange);
  const { response } = exchange;
  return response && `${response.status} ${response.fields.get('location')}`;
}

describe('redirect', () => {
  test('sends every request to the target, with 301 unless it says otherwise', async () => {
    const target = 'https://%{req.host}%{enc:req.path}?%{req.query}';
    assert.equal(await redirected(target, '/a%20b?q=1'), '301 https://example.com/a%20b?q=1');
    assert.equal(await redirected({ to: target, status: 308 }, '/?q'), '308 https://example.com/?q');
  });

  test('takes the first expression that matches, and leaves other requests alone', async () => {
    const options = { to: { '^/old/(.*)$': 'http://new.example/$1', '^/o': '/never' } };
    assert.equal(await redirected(options, '/old/x'), '301 http://new.example/x');
    assert.equal(await redirected(options, '/other'), '301 /never');
    assert.equal(await redirected(options, '/'), undefined);
  });

  test('leaves a response that is there already alone', async () => {
    const exchange = await exchangeOf();
    const response = { status: 200, fields: new Fields(), body: null, delimited: true };
    exchange.respond(response);
    await stepOf(redirectAction, '/elsewhere')(exchange);
    assert.equal(exchange.response, response);
  });

  test('nothing that a client sent ends the field', async () => {
    const location = await redirected(
      { to: { '^/(.*)$': 'http://new.example/$1' } },
      '/a%0d%0aSet-Cookie:%20x=1%00%ff',
    );
    assert.equal(location, '301 http://new.example/a%0D%0ASet-Cookie:%20x=1%00%FF');
  });

  test('nothing that a client sent makes a path name another host', async () => {
    const options = { to: { '^/to/(.*)$': '/$1' } };
    assert.equal(await redirected(options, '/to/%2fevil.example/x'), '301 /evil.example/x');
    assert.equal(await redirected(options, '/to/%5cevil.example/x'), '301 /evil.example/x');
    assert.equal(await redirected(options, '/to/%2f%5c%2fevil.example'), '301 /evil.example');
  });

  test('wrong options are refused', () => {
    assert.throws(() => stepOf(redirectAction, { to: '/x', status: 200 }));
    assert.throws(() => stepOf(redirectAction, { status: 301 }));
    assert.throws(() => stepOf(redirectAction, '%{nothing}'), /unknown variable/);
  });
});
