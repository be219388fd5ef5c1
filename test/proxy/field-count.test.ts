import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Origin, startOrigin } from '../support/origin.js';
import { startProxy, type TestProxy } from '../support/proxy.js';
import { rawRequest } from '../support/raw-client.js';

/** node:http drops what comes behind about a thousand, on both its sides. */
const MANY = 1100;

const shortFields = Array.from({ length: MANY }, (_, n) => `a${n}: 1\r\n`).join('');

describe('more than a thousand fields', () => {
  let origin: Origin;
  let proxy: TestProxy;
  let received: string[] = [];

  before(async () => {
    origin = await startOrigin((request, response) => {
      received = request.rawHeaders;
      const many = Array.from({ length: MANY }, (_, n) => [`b${n}`, '1']).flat();
      response.writeHead(200, [...many, 'Set-Cookie', 'last=1', 'Content-Length', '0']).end();
    });
    proxy = await startProxy({ actions: { proxy: origin.url } });
  });
  after(async () => {
    await proxy?.close();
    await origin?.close();
  });

  test('of a request, all of them reach the upstream', async () => {
    const head = `GET / HTTP/1.1\r\nHost: x\r\n${shortFields}Authorization: Basic last\r\nConnection: close\r\n\r\n`;
    assert.match(await rawRequest(proxy.url, head), /^HTTP\/1\.1 200 /);
    assert.ok(received.includes('Basic last'));
    assert.ok(received.includes(`a${MANY - 1}`));
  });

  test('of a response, all of them reach the client', async () => {
    const response = await rawRequest(proxy.url, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    assert.match(response, new RegExp(`b${MANY - 1}: 1\r\n`));
    assert.match(response, /Set-Cookie: last=1\r\n/);
  });

  test('a head that is too large is refused, not cut', async () => {
    const head = `GET / HTTP/1.1\r\nHost: x\r\n${'a: 12345678901234567890\r\n'.repeat(1000)}\r\n`;
    assert.match(await rawRequest(proxy.url, head), /^HTTP\/1\.1 431 /);
  });
});
