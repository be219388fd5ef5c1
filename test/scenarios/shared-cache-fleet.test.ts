import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ask, type Reply, SITE } from '../support/ask.js';
import { type CountingOrigin, patterned, startCountingOrigin } from '../support/counting-origin.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { type PythonClient, startPythonClient } from '../support/python-client.js';
import { until } from '../support/until.js';

const BIG = patterned(3 * 1024 * 1024);
const HALF = BIG.length / 2;
/** How long the origin takes between the head and the end of the slow page. */
const SLOW_MS = 300;

describe('two processes over one memcached', () => {
  let origin: CountingOrigin;
  let fleet: Fleet;
  let python: PythonClient;
  /** Lets the slow pages of the origin come to their end. */
  const finish = new Map<string, () => void>();

  before(async () => {
    origin = await startCountingOrigin({
      '/page': (_request, response, n) =>
        response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Surrogate-Key': 'news sport' }).end(`page ${n}`),
      '/other': (_request, response, n) =>
        response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Cache-Tag': 'weather' }).end(`other ${n}`),
      '/language': (request, response, n) =>
        response
          .writeHead(200, { 'Cache-Control': 'max-age=60', Vary: 'Accept-Language' })
          .end(`${request.headers['accept-language']} ${n}`),
      '/slow': (_request, response, n) => {
        response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Surrogate-Key': 'slow', 'Content-Length': '8' });
        response.write('half');
        finish.set(_request.url ?? '', () => response.end(` n=${n}`));
      },
      '/big': (_request, response) => {
        response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Content-Length': String(BIG.length), ETag: '"big"' });
        response.write(BIG.subarray(0, HALF));
        setTimeout(() => response.end(BIG.subarray(HALF)), SLOW_MS);
      },
    });
    fleet = await startFleet({ upstream: origin.url, processes: 2 });
    python = startPythonClient(fleet.memcached.server);
  });
  after(async () => {
    await python?.stop();
    await fleet?.stop();
    await origin?.close();
  });

  const [one, two] = [() => fleet.urls[0] ?? '', () => fleet.urls[1] ?? ''];
  const bodies = async (target: string, fields: readonly string[] = []) => {
    const replies = [await ask(one(), target, { fields }), await ask(two(), target, { fields })];
    return replies.map(({ text }) => text);
  };

  test('what one has fetched is a hit at the other', async () => {
    console.log((await ask(one(), '/page')).cacheStatus, (await ask(two(), '/page')).cacheStatus);
    console.log(await bodies('/page'), SITE, delay, until, {} as Reply);
    console.log(await python.call('delete', 'http://site.test/page'));
    console.log(await bodies('/page'));
  });
});
