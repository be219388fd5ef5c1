import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { lookaside } from '../support/command.js';
import { packageRoot } from '../support/root.js';

const COMMANDS = ['serve', 'check', 'get', 'set', 'purge', 'explain', 'schema'];

describe('lookaside --help', () => {
  it('lists every command, and the exit codes', async () => {
    const { exitCode, stdout, stderr } = await lookaside(['--help']);
    assert.equal(exitCode, 0);
    assert.equal(stderr, '');
    for (const command of COMMANDS) assert.match(stdout, new RegExp(`^  ${command} `, 'm'));
    assert.match(stdout, /^Exit codes:\n {2}0 {2}done$/m);
  });

  for (const command of COMMANDS) {
    it(`is there for ${command}`, async () => {
      const { exitCode, stdout } = await lookaside([command, '--help']);
      assert.equal(exitCode, 0);
      assert.match(stdout, new RegExp(`^Usage: lookaside ${command}`));
      assert.match(stdout, /^Exit codes:$/m);
    });
  }

  it('is shown on stderr to whoever names no command', async () => {
    const { exitCode, stdout, stderr } = await lookaside([]);
    assert.deepEqual({ exitCode, stdout }, { exitCode: 2, stdout: '' });
    assert.match(stderr, /^Usage: lookaside/);
  });
});

it('lookaside --version prints the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'));
  const { exitCode, stdout } = await lookaside(['--version']);
  assert.deepEqual({ exitCode, stdout }, { exitCode: 0, stdout: `${version}\n` });
});

describe('wrong usage', () => {
  const wrong: { readonly [args: string]: RegExp } = {
    'purg x': /^error: unknown command 'purg'\n\(Did you mean purge\?\)\n$/,
    'get --jsn x': /^error: unknown option '--jsn'\n\(Did you mean --json\?\)\n$/,
    get: /^error: missing required argument 'key'\n$/,
    'get a b': /^error: too many arguments/,
    'set x --ttl 60x': /^lookaside set: --ttl: "60x" is not a duration: expected /,
    'set x --mode ad': /^lookaside set: --mode: "ad" is not one of set, add, replace, did you mean "add"\?\n$/,
    'set x --flags 4294967296': /^lookaside set: --flags: 4294967296 is too large: expected 4294967295 or less\n$/,
    'get x --memcached nowhere:99999': /^lookaside get: --memcached: "nowhere:99999" is not the address of a memcached/,
    'get x --memcached a --config b': /^lookaside get: give either --memcached or --config\n$/,
    'purge http://a/ --key %{req.pat}':
      /^lookaside purge: --key: unknown variable "req.pat", did you mean "req.path"\?/,
    purge: /^lookaside purge: say what to purge: keys, URLs, --tag, --prefix or --all\n$/,
    'purge --raw --soft x': /^lookaside purge: --raw and --soft exclude each other/,
    'purge --prefix http://a/b': /^lookaside purge: a prefix ends in \/, before any query: http:\/\/a\/b\n$/,
    'purge http://a/ --key x --config b': /^lookaside purge: --key and --config exclude each other\n$/,
    'get x --body --head': /^lookaside get: --body excludes --head and --json\n$/,
  };
  for (const [args, message] of Object.entries(wrong)) {
    it(`is told so: ${args}`, async () => {
      const { exitCode, stdout, stderr } = await lookaside(args.split(' '));
      assert.match(stderr, message);
      assert.deepEqual({ exitCode, stdout }, { exitCode: 2, stdout: '' });
    });
  }

  it('of the environment is told too', async () => {
    const { exitCode, stderr } = await lookaside(['get', 'x'], { env: { LOOKASIDE_MEMCACHED: 'a:b' } });
    assert.equal(exitCode, 2);
    assert.match(stderr, /^lookaside get: "a:b" is not the address of a memcached server/);
  });
});

it('lookaside schema prints the JSON Schema that the package has', async () => {
  const { exitCode, stdout } = await lookaside(['schema']);
  assert.equal(exitCode, 0);
  assert.equal(stdout, readFileSync(join(packageRoot, 'config', 'schema.json'), 'utf8'));
});
