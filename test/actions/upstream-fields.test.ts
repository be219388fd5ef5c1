import assert from 'node:assert/strict';
import { test } from 'node:test';
import { upstreamFields } from '../../src/actions/upstream-fields.js';
import { exchangeOf } from '../support/exchange.js';

/** Fields that frameworks were seen to build URLs, methods or access rules from, and that no key covers. */
const UNKEYED = [
  'CF-Connecting-IP',
  'Client-IP',
  'Fastly-Client-IP',
  'Forwarded',
  'Front-End-Https',
  'Proxy',
  'True-Client-IP',
  'X-Client-IP',
  'X-Cluster-Client-IP',
  'X-Forwarded',
  'X-Forwarded-By',
  'X-Forwarded-Path',
  'X-Forwarded-Port',
  'X-Forwarded-Prefix',
  'X-Forwarded-Scheme',
  'X-Forwarded-Server',
  'X-Forwarded-Ssl',
  'X-Host',
  'X-HTTP-Host-Override',
  'X-HTTP-Method',
  'X-HTTP-Method-Override',
  'X-Method-Override',
  'X-Original-Host',
  'X-Original-URL',
  'X-Originating-IP',
  'X-Remote-Addr',
  'X-Rewrite-URL',
  'X_Real_IP',
  'X-Scheme',
];

test('what a client could change a response with, behind the back of a key, stays behind', async () => {
  const headers = Object.fromEntries(UNKEYED.map((name) => [name, 'evil']));
  const { request } = await exchangeOf({ headers: { ...headers, 'x-mine': 'kept' } });
  const sent = upstreamFields(request, '1.1 name', 'overwrite');
  assert.deepEqual(
    [...sent].filter(([, value]) => value === 'evil'),
    [],
  );
  assert.equal(sent.get('x-mine'), 'kept');
});

test('with "keep", claims about the client pass, requests that pretend to be others do not', async () => {
  const headers = Object.fromEntries(UNKEYED.map((name) => [name, 'evil']));
  const { request } = await exchangeOf({ headers });
  const sent = upstreamFields(request, '1.1 name', 'keep');
  assert.equal(sent.get('x-forwarded-prefix'), 'evil');
  assert.equal(sent.get('forwarded'), 'evil');
  for (const name of ['Proxy', 'X-Original-URL', 'X-HTTP-Method-Override', 'X_Real_IP', 'X-Forwarded-Proto']) {
    assert.equal(sent.has(name), false, name);
  }
});

test('Via says who forwarded it, behind what others said', async () => {
  const { request } = await exchangeOf({ headers: { via: '1.1 front' } });
  assert.deepEqual(upstreamFields(request, '1.0 edge', 'overwrite').all('via'), ['1.1 front', '1.0 edge']);
});

test('over a unix socket there is no address of the client to tell', async () => {
  const { request } = await exchangeOf({ remoteAddress: '' });
  const sent = upstreamFields({ ...request, remote: { address: '', port: 0 } }, '1.1 name', 'overwrite');
  assert.equal(sent.has('x-forwarded-for'), false);
  assert.equal(sent.get('x-forwarded-proto'), 'http');
});
