import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { ACTIONS } from '../../src/actions/actions.js';
import { configJsonSchema } from '../../src/config/json-schema.js';
import { loadConfig } from '../../src/config/load.js';
import { exampleConfigs, exampleFile, exampleText } from '../support/example-config.js';
import { packageRoot } from '../support/root.js';

const directory = join(packageRoot, 'config');
const schema = configJsonSchema();
const ajv = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true });
const validate = ajv.compile(schema);

describe('the JSON Schema', () => {
  it('is the one in config/schema.json: "npm run schema" makes it', () => {
    const kept = readFileSync(join(directory, 'schema.json'), 'utf8');
    assert.deepEqual(JSON.parse(kept), JSON.parse(JSON.stringify(schema)));
  });

  it('knows every action and describes it', () => {
    const { chain } = JSON.parse(JSON.stringify(schema.definitions));
    const [{ anyOf: forms }] = chain.anyOf;
    const { properties } = forms[1];
    assert.deepEqual(
      Object.keys(properties),
      ACTIONS.map(({ name }) => name),
    );
    for (const { name, help } of ACTIONS) assert.ok(properties[name].description.startsWith(help), name);
    assert.ok(forms[0].enum.includes('static') && !forms[0].enum.includes('docroot'));
  });

  it('describes every option', () => {
    for (const [name, option] of Object.entries(schema.properties ?? {})) {
      assert.ok(Object(option).description, `${name} is not described`);
    }
  });

  it('shows defaults as they would be written', () => {
    const { memcached } = JSON.parse(JSON.stringify(schema.properties));
    assert.equal(memcached.properties.timeout.default, '100ms');
    assert.equal(JSON.stringify(schema).includes('usesDecodedPath'), false);
  });

  const wrong: { readonly [what: string]: object } = {
    'an unknown option': { memcachd: {}, actions: [] },
    'an unknown action': { actions: ['statc'] },
    'an unknown option of an action deep in a chain': {
      actions: [{ 'memcached.lookup': { miss: [{ 'memcached.store': { tll: 5 } }] } }],
    },
    'two actions in one item': { actions: [{ static: null, 'header.remove': 'x' }] },
    'a unit that there is not': { bodyMemory: '5 parsecs', actions: [] },
    'no actions': {},
  };
  for (const [what, config] of Object.entries(wrong)) {
    it(`refuses ${what}`, () => assert.equal(validate(config), false));
  }
});

describe('the example', () => {
  it('is one of several', () => assert.ok(exampleConfigs.length >= 5));

  for (const name of exampleConfigs) {
    it(`${name} is right`, async () => {
      await loadConfig(exampleFile(name));
    });

    it(`${name} is right by the JSON Schema, and names it for editors`, () => {
      const text = exampleText(name);
      assert.ok(text.startsWith('# yaml-language-server: $schema=./schema.json\n'));
      assert.ok(validate(parse(text)), JSON.stringify(validate.errors, null, 1));
    });
  }
});
