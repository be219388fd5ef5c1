import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { z } from 'zod';
import { explainIssue, problemsOf } from '../../src/actions/issues.js';
import { mayPurge, purgeAccessSchema } from '../../src/actions/purge-access.js';
import { exchangeOf } from '../support/exchange.js';

const TOKEN = 'c2VjcmV0LXNlY3JldA==';

type Written = z.input<typeof purgeAccessSchema>;

async function may(written: Written, headers: { [name: string]: string | string[] }, remoteAddress = '192.0.2.1') {
  const exchange = await exchangeOf({ method: 'PURGE', headers, remoteAddress });
  return mayPurge(purgeAccessSchema.parse(written), exchange);
}

const shown = { authorization: `Bearer ${TOKEN}` };

describe('a purge by token', () => {
  it('takes the token, and nothing else', async () => {
    assert.equal(await may({ token: TOKEN }, shown), true);
    assert.equal(await may({ token: TOKEN }, { authorization: `bearer  ${TOKEN}` }), true);
    const wrong = [
      '',
      TOKEN,
      `Basic ${TOKEN}`,
      'Bearer',
      'Bearer ',
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(0, -1)}`,
    ];
    for (const authorization of wrong) {
      assert.equal(await may({ token: TOKEN }, { authorization }), false, authorization);
    }
    assert.equal(await may({ token: TOKEN }, {}), false);
    assert.equal(await may({ token: TOKEN }, { authorization: [`Bearer ${TOKEN}`, 'Bearer x'] }), false);
  });

  it('takes it from a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lookaside-token-'));
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, `${TOKEN}\n`);
    assert.equal(await may({ tokenFile }, shown), true);
    assert.equal(await may({ tokenFile }, {}), false);
    rmSync(folder, { recursive: true });
  });
});

describe('a purge by address', () => {
  const allow = ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32'];

  it('goes by the connection, whatever the request says', async () => {
    for (const address of ['127.0.0.1', '10.1.2.3', '::ffff:10.1.2.3', '2001:db8::1']) {
      assert.equal(await may({ allow }, {}, address), true, address);
    }
    const forged = { 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1', forwarded: 'for=127.0.0.1' };
    for (const address of ['192.0.2.1', '::1', '2001:db9::1', '']) {
      assert.equal(await may({ allow }, { ...forged, ...shown }, address), false, address);
    }
  });

  it('needs the token as well where there is one', async () => {
    assert.equal(await may({ allow, token: TOKEN }, shown, '10.0.0.1'), true);
    assert.equal(await may({ allow, token: TOKEN }, {}, '10.0.0.1'), false);
    assert.equal(await may({ allow, token: TOKEN }, shown, '192.0.2.1'), false);
  });
});

describe('refused is', () => {
  const wrong: { readonly [fault: string]: Written } = {
    ': say who may purge: give token, tokenFile or allow': {},
    ': give either token or tokenFile': { token: TOKEN, tokenFile: import.meta.filename },
    'token: a token of fewer than 16 characters can be guessed': { token: 'secret' },
    'token: a token has letters, digits and -._~+/ only': { token: 'a token with spaces' },
    'allow: an empty list is too small: expected 1 items or more': { allow: [] },
    'allow.1: "localhost" is not an address or a network such as 10.0.0.0/8': { allow: ['::1', 'localhost'] },
  };
  for (const [fault, written] of Object.entries(wrong)) {
    it(fault, () => {
      const checked = purgeAccessSchema.safeParse(written, { error: explainIssue });
      const faults = checked.success
        ? []
        : problemsOf(checked.error).map(({ path, message }) => `${path.join('.')}: ${message}`);
      assert.ok(faults.includes(fault), faults.join('\n'));
    });
  }

  it('a file that is not there', () => {
    const checked = purgeAccessSchema.safeParse({ tokenFile: '/nonexistent/token' });
    assert.match(String(checked.error?.issues[0]?.message), /^the file can not be read: ENOENT/);
  });
});
