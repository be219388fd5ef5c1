import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ConfigError } from '../../src/config/config-error.js';
import { configValue, loadConfig } from '../../src/config/load.js';

describe('a YAML file', () => {
  it('gives settings', async () => {
    const { listen, memcached } = await loadConfig(
      file('good.yaml', 'listen: 8081\nmemcached: {servers: [m1], timeout: 50ms}\nactions: [static]\n'),
    );
    assert.deepEqual(listen, [{ kind: 'tcp', host: '127.0.0.1', port: 8081 }]);
    assert.equal(memcached?.timeoutMs, 50);
  });

  it('may be JSON', async () => {
    const { workers } = await loadConfig(file('good.json', '{\n\t"workers": 3,\n\t"actions": []\n}\n'));
    assert.equal(workers, 3);
  });

  it('may say a thing once and use it twice', async () => {
    const text = 'actions:\n  - memcached.lookup: {key: &key "%{req.host}"}\n  - memcached.store: {key: *key}\n';
    const [, store] = Object(await configValue(file('alias.yaml', text))).actions;
    assert.deepEqual(store, { 'memcached.store': { key: '%{req.host}' } });
    await loadConfig(file('alias.yaml', text));
  });

  it('is told everything that is wrong with it, in the order it stands there', async () => {
    await refuses(
      `listen: 127.0.0.1:80800
memcachd: 5
actions:
  - memcached.lookup:
      key: "%{req.shceme}"
      hit:
        - header.add: {X-Memcached: Hit}
          static:
      miss:
        - memcached.store: { ttl: "60x", maxsize: 0 }
        - memcached.stor: {ttl: 5}
        - when:
            if: req.is_handled
embedded:
  maxSize:
`,
      `FILE:1:9: "127.0.0.1:80800" is no place to listen: expected a port, host:port, [IPv6]:port or unix:/path
  listen: 127.0.0.1:80800
          ^^^^^^^^^^^^^^^
FILE:2:1: unknown option "memcachd", did you mean "memcached"?
  memcachd: 5
  ^^^^^^^^
FILE:5:12: unknown variable "req.shceme", did you mean "req.scheme"? (at character 3)
        key: "%{req.shceme}"
             ^^^^^^^^^^^^^^^
FILE:7:11: one action a list item, found header.add, static: put a dash in front of each
          - header.add: {X-Memcached: Hit}
            ^
FILE:10:35: "60x" is not a duration: expected a whole number of seconds, or one with a unit: 100ms, 90s, 5m, 1h30m, 7d
          - memcached.store: { ttl: "60x", maxsize: 0 }
                                    ^^^^^
FILE:10:51: 0 is less than 1
          - memcached.store: { ttl: "60x", maxsize: 0 }
                                                    ^
FILE:11:11: unknown action "memcached.stor", did you mean "memcached.store"?
          - memcached.stor: {ttl: 5}
            ^^^^^^^^^^^^^^
FILE:12:11: "then" is missing
          - when:
            ^^^^
FILE:15:3: null is not a size: expected a whole number of bytes, or one with a unit: 64k, 64KiB, 4MiB, 1GiB
    maxSize:
    ^^^^^^^`,
    );
  });

  const files: { readonly [what: string]: readonly [text: string, message: string] } = {
    'that is empty lacks its actions': ['', 'FILE:1:1: "actions" is missing\n  \n  ^'],
    'must not say a thing twice': [
      'workers: 1\nactions: []\nworkers: 2\n',
      'FILE:3:1: Map keys must be unique\n  workers: 2\n  ^',
    ],
    'must be YAML': [
      'actions: [static\n',
      'FILE:2:1: Flow sequence in block collection must be sufficiently indented and end with a ]\n  \n  ^',
    ],
    'must have the anchors that it uses': [
      'actions: [*chain]\n',
      'FILE:1:11: there is no "&chain" above that "*chain" could stand for\n  actions: [*chain]\n            ^^^^^^',
    ],
    'must not have tags': [
      'workers: !!js 1\nactions: []\n',
      'FILE:1:10: Unresolved tag: tag:yaml.org,2002:js\n  workers: !!js 1\n           ^^^^',
    ],
    'can not reach the prototype of anything': [
      '__proto__: {workers: 5}\nactions: []\n',
      'FILE:1:1: unknown option "__proto__"\n  __proto__: {workers: 5}\n  ^^^^^^^^^',
    ],
    'can not do anything to a terminal': [
      'workers: "\u001b[31m"\nactions: []\n',
      'FILE:1:10: expected a number, found "\\u001b[31m"\n  workers: "\ufffd[31m"\n           ^^^^^^^',
    ],
    'keeps its tabs in front of the caret': [
      '{\n\t"workers": true, "actions": []\n}\n',
      'FILE:2:13: expected a number, found true\n  \t"workers": true, "actions": []\n  \t           ^^^^',
    ],
    'may give an option in short, and is told of that': [
      'actions:\n  - proxy: ftp://x\n  - docroot\n',
      `FILE:2:12: "ftp://x" is not an upstream: expected http://host:port or https://host, with a path or none
    - proxy: ftp://x
             ^^^^^^^
FILE:3:5: a value (name: value) is missing
    - docroot
      ^^^^^^^`,
    ],
    'with CRLF counts the same': [
      'actions: []\r\nworkers: x\r\n',
      'FILE:2:10: expected a number, found "x"\n  workers: x\n           ^',
    ],
  };
  for (const [what, [text, message]] of Object.entries(files)) {
    it(what, () => refuses(text, message));
  }

  it('shows a piece of a long line', async () => {
    const { message } = await errorOf(file('long.json', `{"actions": [], "name": "${'x'.repeat(5000)} "}`));
    assert.ok(message.length < 500, message);
    assert.match(message, /\n {2}.*"x{50,}\n {2} +\^+$/);
  });

  it('can not grow without bounds by aliases of aliases', async () => {
    const lines = ['a: &a [x,x,x,x,x,x,x,x,x,x]'];
    for (const [name, last] of ['ba', 'cb', 'dc', 'ed', 'fe'])
      lines.push(`${name}: &${name} [${Array(10).fill(`*${last}`)}]`);
    const { message } = await errorOf(file('bomb.yaml', lines.join('\n')));
    assert.match(message, /Excessive alias count/);
  });

  it('can not nest without bounds', async () => {
    for (const text of [`actions: ${'['.repeat(200_000)}`, '- '.repeat(200_000), `${'{a: '.repeat(150_000)}`]) {
      const { message } = await errorOf(file('deep.yaml', text));
      assert.match(message, /deep\.yaml: is nested too deeply$/);
    }
    const chains = `actions: ${'{when: {if: req.is_handled, then: '.repeat(40)}static${'}}'.repeat(40)}`;
    assert.match((await errorOf(file('deep.yaml', chains))).message, /chains are nested too deeply/);
  });

  it('is not read when it is too large to be a configuration', async () => {
    const { message } = await errorOf(file('large.yaml', `actions: []\n${'# comment\n'.repeat(110_000)}`));
    assert.match(message, /: is larger than 1048576 bytes, and so no configuration$/);
  });

  it('must be there', async () => {
    const { message } = await errorOf(join(folder, 'nowhere.yaml'));
    assert.match(message, /nowhere\.yaml: can not be read: ENOENT/);
  });
});

describe('a JavaScript file', () => {
  it('gives settings', async () => {
    const { workers } = await loadConfig(file('good.mjs', 'export default { workers: 1 + 1, actions: ["static"] };'));
    assert.equal(workers, 2);
  });

  it('is told everything that is wrong with it, by path', async () => {
    const path = file(
      'bad.mjs',
      'export default { workers: 0, actions: [{ "memcached.store": { ttl: -1, tll: 1 } }] };',
    );
    const { message } = await errorOf(path);
    const lines = message.replaceAll(path, 'FILE').split('\n');
    assert.deepEqual(lines, [
      'FILE: workers: 0 is too small: expected 1 or more',
      'FILE: actions[0]["memcached.store"].ttl: -1 is not a duration: expected a whole number of seconds, or one with a unit: 100ms, 90s, 5m, 1h30m, 7d',
      'FILE: actions[0]["memcached.store"].tll: unknown option "tll", did you mean "ttl"?',
    ]);
  });

  it('must have a default export', async () => {
    const { message } = await errorOf(file('none.mjs', 'export const config = {};'));
    assert.match(message, /none\.mjs: has no default export/);
  });

  it('must run', async () => {
    const { message } = await errorOf(file('throws.mjs', 'throw new Error("out of order");'));
    assert.match(message, /throws\.mjs: can not be loaded: out of order$/);
    assert.match((await errorOf(file('syntax.mjs', 'export default {'))).message, /syntax\.mjs: can not be loaded: /);
  });

  it('is read again when it has changed', async () => {
    const path = file('changing.mjs', 'export default { workers: 1, actions: [] };');
    assert.equal((await loadConfig(path)).workers, 1);
    file('changing.mjs', 'export default { workers: 22, actions: [] };');
    assert.equal((await loadConfig(path)).workers, 22);
  });
});

it('a TypeScript file gives settings where Node can load it, and else a sentence that says so', async () => {
  const path = file('typed.mts', 'const workers: number = 2;\nexport default { workers, actions: [] };');
  if (Reflect.get(process.features, 'typescript')) assert.equal((await loadConfig(path)).workers, 2);
  else assert.match((await errorOf(path)).message, /typed\.mts: Node v\S+ can not load TypeScript: take Node 22\.18/);
});

const folder = mkdtempSync(join(tmpdir(), 'lookaside-config-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

async function errorOf(path: string): Promise<ConfigError> {
  try {
    await loadConfig(path);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error;
  }
  return assert.fail('nothing was wrong');
}

async function refuses(text: string, message: string): Promise<void> {
  const path = file('refused.yaml', text);
  const error = await errorOf(path);
  assert.equal(error.message.replaceAll(path, 'FILE'), message);
}
