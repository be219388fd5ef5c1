import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ACTIONS } from '../src/actions/actions.js';
import { settingsOf } from '../src/config/load.js';
import { Source } from '../src/config/source.js';
import { packageRoot } from './support/root.js';

const readme = readFileSync(join(packageRoot, 'README.md'), 'utf8');

test('the README lists every action as the table of actions has it', () => {
  const rows = ACTIONS.map(({ name, help }) => `| \`${name}\` | ${help} |`);
  assert.deepEqual(
    rows.filter((row) => !readme.includes(row)),
    [],
  );
});

test('the configurations of the README are right', () => {
  const configs = [...readme.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text);
  assert.ok(configs.length > 0);
  for (const text of configs) settingsOf(new Source('README.md', text).value, 'README.md');
});
