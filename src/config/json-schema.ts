import { z } from 'zod';
import type { ActionDefinition } from '../actions/action.js';
import { ACTIONS, chainSchema } from '../actions/actions.js';
import type { BoundChain } from '../actions/chain.js';
import { settingsSchema } from './schema.js';

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Stands where a chain may stand; becomes a reference to the definition of that name. */
const chainReference = z.custom<BoundChain>().meta({ id: 'chain' });

const REFERENCE: JsonSchema = { $ref: '#/definitions/chain' };

/**
 * The JSON Schema of a configuration as it is written, for editors; `config/schema.json` is this. It knows names, types,
 * choices and defaults; `lookaside check` knows more (patterns, conditions, addresses).
 */
export function configJsonSchema(): JsonSchema {
  const { $schema, ...settings } = toJsonSchema(settingsSchema);
  const { actions, ...sections } = settings.properties ?? {};
  return {
    $schema,
    title: 'Configuration of lookaside',
    ...settings,
    properties: { ...sections, actions: { ...Object(actions), allOf: [REFERENCE] } },
    definitions: { chain: chainDefinition() },
  };
}

/** A chain is one action or a list of them; an action is its name, or an object with its name as the only property. */
function chainDefinition(): JsonSchema {
  const bare = ACTIONS.filter((action) => action.bind(undefined, chainSchema).success);
  const action: JsonSchema = {
    anyOf: [
      { type: 'string', enum: bare.map(({ name }) => name) },
      {
        type: 'object',
        properties: Object.fromEntries(ACTIONS.map((one) => [one.name, optionsOf(one)])),
        additionalProperties: false,
        minProperties: 1,
        maxProperties: 1,
      },
    ],
  };
  return { anyOf: [action, { type: 'array', items: action }] };
}

function optionsOf(action: ActionDefinition): JsonSchema {
  const { $schema, definitions, ...options } = toJsonSchema(action.schema(chainReference));
  const description = options.description === undefined ? action.help : `${action.help}: ${options.description}`;
  return { ...options, description };
}

function toJsonSchema(schema: z.ZodType): JsonSchema {
  // draft 7, because that is what editors' YAML plugins know
  return z.toJSONSchema(schema, { io: 'input', target: 'draft-07', unrepresentable: 'any' });
}
