import { z } from 'zod';
import type { Fields } from '../http/fields.js';
import { isFieldName, isFieldValue } from '../http/fields.js';
import { defineAction } from './action.js';
import type { Exchange } from './exchange.js';
import { type Pattern, patternSchema } from './pattern.js';

const fieldName = z.string().refine(isFieldName, { error: ({ input }) => `"${String(input)}" is not a field name` });

const oneOrMoreFields = z
  .record(fieldName, patternSchema)
  .transform((fields) => Object.entries(fields))
  .describe('field names, each with the pattern of its value');

const fieldNames = z
  .union([fieldName, z.array(fieldName)])
  .transform((names) => (typeof names === 'string' ? [names] : names))
  .describe('a field name, or a list of them');

type FieldEdit = (fields: Fields, name: string, value: string) => void;

/** What `add`, `append` and `overwrite` do to one field: lighttpd2's words, the same for requests and responses. */
const EDITS = {
  add: { help: 'adds fields to', edit: (fields, name, value) => fields.append(name, value) },
  append: { help: 'appends list members to fields of', edit: appendMember },
  overwrite: {
    help: 'sets fields, in the place of any that are there, of',
    edit: (fields, name, value) => fields.set(name, value),
  },
} as const satisfies Record<string, { help: string; edit: FieldEdit }>;

function appendMember(fields: Fields, name: string, value: string): void {
  const present = fields.get(name);
  fields.set(name, present === undefined ? value : `${present}, ${value}`);
}

/** A response field may be edited before there is a response: see `Exchange.editResponse`. */
function editResponse(exchange: Exchange, edit: (fields: Fields) => void): void {
  exchange.editResponse(({ fields }) => edit(fields));
}

function editRequest(exchange: Exchange, edit: (fields: Fields) => void): void {
  edit(exchange.request.fields);
}

/** The four actions on the fields of one side: `header.*` for the response, `req_header.*` for the request. */
function fieldActions(prefix: string, side: string, apply: typeof editResponse) {
  const edits = Object.entries(EDITS).map(([word, { help, edit }]) =>
    defineAction({
      name: `${prefix}.${word}`,
      help: `${help} the ${side}`,
      schema: () => oneOrMoreFields,
      compile: (patterns) => (exchange) => {
        for (const [name, pattern] of patterns) {
          const value = expandValue(pattern, exchange);
          apply(exchange, (fields) => edit(fields, name, value));
        }
      },
    }),
  );
  const remove = defineAction({
    name: `${prefix}.remove`,
    help: `removes fields of the ${side}`,
    schema: () => fieldNames,
    compile: (names) => (exchange) =>
      apply(exchange, (fields) => {
        for (const name of names) fields.delete(name);
      }),
  });
  return [...edits, remove];
}

/** A pattern may carry decoded bytes of the request: those that could end a line must not reach one. */
function expandValue(pattern: Pattern, exchange: Exchange): string {
  const value = pattern.expand(exchange);
  return isFieldValue(value) ? value : value.replace(/[^\t\x20-\x7e\x80-\xff]/g, ' ');
}

export const headerActions = [
  ...fieldActions('header', 'response', editResponse),
  ...fieldActions('req_header', 'request', editRequest),
];
