import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { lookaside } from '../support/command.js';
import { exampleConfigs, exampleFile } from '../support/example-config.js';

const folder = mkdtempSync(join(tmpdir(), 'lookaside-check-'));
after(() => rmSync(folder, { recursive: true }));

const good = join(folder, 'good.yaml');
writeFileSync(good, 'actions: [static]\n');
const bad = join(folder, 'bad.yaml');
writeFileSync(bad, 'worker: 2\nactions:\n  - statc\n');

describe('lookaside check', () => {
  it('says that a configuration is right', async () => {
    const { exitCode, stdout, stderr } = await lookaside(['check', good]);
    assert.deepEqual({ exitCode, stdout, stderr }, { exitCode: 0, stdout: `${good}: ok\n`, stderr: '' });
  });

  it('says everything that is wrong with one', async () => {
    const { exitCode, stdout, stderr } = await lookaside(['check', bad]);
    assert.equal(
      stderr.replaceAll(bad, 'FILE'),
      `FILE:1:1: unknown option "worker", did you mean "workers"?
  worker: 2
  ^^^^^^
FILE:3:5: unknown action "statc", did you mean "static"?
    - statc
      ^^^^^
`,
    );
    assert.deepEqual({ exitCode, stdout }, { exitCode: 1, stdout: '' });
  });

  it('says both in JSON too', async () => {
    const right = await lookaside(['check', '--json', good]);
    assert.deepEqual(JSON.parse(right.stdout), { file: good, ok: true, problems: [] });
    assert.equal(right.exitCode, 0);
    const wrong = await lookaside(['check', '--json', bad]);
    assert.deepEqual(JSON.parse(wrong.stdout), {
      file: bad,
      ok: false,
      problems: [
        { message: 'unknown option "worker", did you mean "workers"?', path: 'worker', line: 1, column: 1 },
        { message: 'unknown action "statc", did you mean "static"?', path: 'actions[0]', line: 3, column: 5 },
      ],
    });
    assert.deepEqual({ exitCode: wrong.exitCode, stderr: wrong.stderr }, { exitCode: 1, stderr: '' });
  });

  it('says that a file is not there', async () => {
    const { exitCode, stdout, stderr } = await lookaside(['check', join(folder, 'nowhere.yaml')]);
    assert.match(stderr, /nowhere\.yaml: can not be read: ENOENT/);
    assert.deepEqual({ exitCode, stdout }, { exitCode: 1, stdout: '' });
  });

  for (const name of exampleConfigs) {
    it(`finds config/${name} right`, async () => {
      const { exitCode, stderr } = await lookaside(['check', exampleFile(name)]);
      assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
    });
  }
});
