import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from './support/root.js';

/** The floors of the house, lowest first; the rooms of one floor do not know one another. */
const FLOORS = [
  ['store'],
  ['http'],
  ['cache', 'tls', 'distcache'],
  ['actions', 'undici'],
  ['config'],
  ['plugin', 'admin'],
  ['proxy'],
  ['cli'],
];

/** `http/` and `store/` know nothing of each other, though their floors differ. */
const STRANGERS = [['http', 'store']];

const src = join(packageRoot, 'src');
const floorOf = new Map(FLOORS.flatMap((rooms, floor) => rooms.map((room) => [room, floor] as const)));

function sourceFiles(): string[] {
  return readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
}

/** The files of ours that `file` imports, relative to src. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), 'utf8');
  return [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, path = '']) =>
    relative(src, join(src, dirname(file), path)),
  );
}

function room(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : '';
}

function breach(from: string, to: string): string | undefined {
  const [own, other] = [room(from), room(to)];
  // index.ts, the public face, has no room: it may import from everywhere, and nothing imports it.
  if (other === '') return `${from} imports ${to}, the public face`;
  if (own === '' || own === other) return undefined;
  const [floor, below] = [floorOf.get(own), floorOf.get(other)];
  if (floor === undefined || below === undefined) return `${from} or ${to} lies in a room without a floor`;
  if (below >= floor) return `${from} imports ${to}: up, or sideways`;
  if (STRANGERS.some((pair) => pair.includes(own) && pair.includes(other))) return `${from} imports ${to}: strangers`;
  return undefined;
}

test('every import goes down', () => {
  const imports = sourceFiles().flatMap((from) => importsOf(from).map((to) => [from, to] as const));
  assert.ok(imports.length > 50, `only ${imports.length} imports found: is the reading of imports broken?`);
  assert.deepEqual(
    imports.map(([from, to]) => breach(from, to)).filter((found) => found !== undefined),
    [],
  );
});

test('a breach would be noticed', () => {
  assert.match(breach('store/store.ts', 'http/fields.js') ?? '', /up, or sideways/);
  assert.match(breach('http/fields.ts', 'store/store.js') ?? '', /strangers/);
  assert.match(breach('tls/seal.ts', 'cache/key.js') ?? '', /sideways/);
  assert.match(breach('cache/key.ts', 'index.js') ?? '', /public face/);
  assert.equal(breach('cli/main.ts', 'store/store.js'), undefined);
});

test('nothing escapes the type checker, the linter or the log', () => {
  const escapes = sourceFiles().flatMap((file) =>
    [
      ...readFileSync(join(src, file), 'utf8').matchAll(
        /: any\b|as any\b|<any>|@ts-ignore|@ts-expect-error|biome-ignore/g,
      ),
    ].map(([found]) => `${file}: ${found}`),
  );
  assert.deepEqual(escapes, []);
});
