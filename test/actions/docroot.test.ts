import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { docrootAction } from '../../src/actions/docroot.js';
import { stepOf } from '../support/action.js';
import { exchangeOf } from '../support/exchange.js';

async function docrootFor(options: unknown, host: string, url = '/a%20b?q'): Promise<string | undefined> {
  const exchange = await exchangeOf({ url, headers: { host, 'x-dir': '../..' } });
  await stepOf(docrootAction, options)(exchange);
  return exchange.physical?.docroot;
}

describe('docroot', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lookaside-docroot-'));
    await mkdir(join(folder, 'www.example.com'));
  });
  after(() => rm(folder, { recursive: true }));

  test('sets the directory, and the decoded path below it', async () => {
    const exchange = await exchangeOf({ url: '/a%20b?q' });
    await stepOf(docrootAction, '/var/www/')(exchange);
    assert.deepEqual(exchange.physical, { docroot: '/var/www', path: '/a b' });
  });

  test('inserts labels of the host, counted from its end', async () => {
    assert.equal(await docrootFor('/www/$2.$1/$3', 'www.example.com:8080'), '/www/example.com/www');
    assert.equal(await docrootFor('/www/$0/htdocs', 'WWW.example.com'), '/www/www.example.com/htdocs');
    assert.equal(await docrootFor('/www/$[2-]', 'www.example.com'), '/www/www.example');
  });

  test('of several takes the first that exists, else the last', async () => {
    const several = [join(folder, '$0'), join(folder, 'default')];
    assert.equal(await docrootFor(several, 'www.example.com'), join(folder, 'www.example.com'));
    assert.equal(await docrootFor(several, 'other.example.com'), join(folder, 'default'));
  });

  for (const host of ['..', '.', 'a/../../etc', '../x', 'a\0b', '']) {
    test(`a host that leads elsewhere sets none: ${JSON.stringify(host)}`, async () => {
      const exchange = await exchangeOf();
      const hostile = Object.assign(exchange, { request: { ...exchange.request, host } });
      await stepOf(docrootAction, '/www/$0/htdocs')(hostile);
      assert.equal(hostile.physical, undefined);
    });
  }

  test('so does any other variable', async () => {
    assert.equal(await docrootFor('/www/%{req.header["x-dir"]}', 'a'), undefined);
  });

  test('is an absolute path', () => {
    assert.throws(() => stepOf(docrootAction, 'www'), /absolute path/);
    assert.throws(() => stepOf(docrootAction, '%{req.path}'), /absolute path/);
    assert.throws(() => stepOf(docrootAction, []));
    assert.throws(() => stepOf(docrootAction));
  });
});
