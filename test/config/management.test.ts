import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { z } from 'zod';
import { showsToken } from '../../src/actions/bearer-token.js';
import { explainIssue, problemsOf } from '../../src/actions/issues.js';
import { managementSchema } from '../../src/config/management.js';

const TOKEN = 'a-token-of-16-characters';

type Written = z.input<typeof managementSchema>;

function faults(written: Written): string[] {
  const { error } = managementSchema.safeParse(written, { error: explainIssue });
  return error === undefined ? [] : problemsOf(error).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('the management section', () => {
  it('listens on this machine, without a token, unless it says otherwise', () => {
    const listen = { kind: 'tcp', host: '127.0.0.1', port: 9180 };
    assert.deepEqual(managementSchema.parse({}), { listen, hosts: [], tokenDigest: undefined });
  });

  it('needs a token where others can connect', () => {
    const message = 'listen: others than this machine can connect there: give a token or tokenFile as well';
    for (const listen of ['0.0.0.0:9180', '10.0.0.1:9180', '[::]:9180', 'cache.example:9180', '127.example:1']) {
      assert.deepEqual(faults({ listen }), [message], listen);
      assert.deepEqual(faults({ listen, token: TOKEN }), [], listen);
    }
    for (const listen of [9180, 'localhost:9180', '127.0.0.2:9180', '[::1]:9180', 'unix:/run/lookaside.sock']) {
      assert.deepEqual(faults({ listen }), [], String(listen));
    }
  });

  it('takes the token from a file, and one of both only', () => {
    const folder = mkdtempSync(join(tmpdir(), 'lookaside-management-'));
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, `${TOKEN}\n`);
    const { tokenDigest } = managementSchema.parse({ tokenFile });
    assert.ok(tokenDigest !== undefined && showsToken(`Bearer ${TOKEN}`, tokenDigest));
    assert.deepEqual(faults({ tokenFile, token: TOKEN }), ['tokenFile: give either token or tokenFile']);
    assert.match(faults({ token: 'short' }).join(), /can be guessed/);
    rmSync(folder, { recursive: true });
  });

  it('compares names in lower case, without ports', () => {
    assert.deepEqual(managementSchema.parse({ hosts: ['Cache.Example'] }).hosts, ['cache.example']);
    assert.match(faults({ hosts: ['http://cache.example'] }).join(), /^hosts\.0: a host is a name/);
  });
});
