import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_SUBJECT_BYTES } from '../../src/actions/comparison.js';
import { ConditionError, compileCondition, conditionSchema } from '../../src/actions/condition.js';
import { Fields } from '../../src/http/fields.js';
import { exchangeOf } from '../support/exchange.js';

const exchange = await exchangeOf({
  method: 'POST',
  url: '/api/caf%C3%A9.css?q=1',
  headers: { Host: 'Example.com', 'X-A': 'abc', 'X-Forwarded-For': '10.1.2.3', 'X-Quote': 'say "hi\\"' },
  remoteAddress: '192.0.2.77',
  body: 'hello',
});

function holds(condition: string): boolean {
  return compileCondition(condition)(exchange);
}

function assertAll(wanted: boolean, conditions: readonly string[]): void {
  for (const condition of conditions) assert.equal(holds(condition), wanted, condition);
}

function fault(condition: string): string {
  try {
    compileCondition(condition);
  } catch (error) {
    if (error instanceof ConditionError) return `${error.offset}: ${error.message}`;
    throw error;
  }
  return 'none';
}

test('text is compared byte by byte', () => {
  assertAll(true, [
    'req.method == "POST"',
    'req.method == POST',
    'req.method==POST',
    'req.host != "www.example.com"',
    'req.path == "/api/café.css"',
    'req.header["x-absent"] == ""',
    'req.header["x-quote"] == "say \\"hi\\\\\\""',
  ]);
  assertAll(false, ['req.method == post', 'req.method != "POST"', 'req.path == "/api"']);
});

test('the beginning and the end of text are compared', () => {
  assertAll(true, [
    'req.path =^ "/api"',
    'req.path =^ /api/',
    'req.path !^ "/static"',
    'req.path =$ .css',
    'req.path !$ ".js"',
  ]);
  assertAll(false, ['req.path =^ "api"', 'req.path !^ "/api"', 'req.path =$ "/api"', 'req.path !$ ".css"']);
});

test('numbers are compared as numbers', () => {
  assertAll(true, [
    ...[
      'req.length == 5',
      'req.length == "5"',
      'req.length != 6',
      'req.length < 10',
      'req.length <= 5',
      'req.length > -1',
    ],
    ...['req.length >= 5', 'resp.status == 0'],
  ]);
  assertAll(false, [
    'req.length == 50',
    'req.length != 5',
    'req.length < 5',
    'req.length <= 4',
    'req.length > 5',
    'req.length >= 6',
  ]);
});

test('a regular expression that matches leaves its captures', () => {
  assert.equal(holds('req.path =~ "^/(\\w+)/(x)?.*\\.css$"'), true);
  assert.deepEqual([...exchange.captures], ['/api/caf\xc3\xa9.css', 'api', undefined]);
  assert.equal(holds('req.path =~ "^/(static)/"'), false);
  assert.equal(exchange.captures[1], 'api');
  assert.equal(holds('req.header["x-a"] !~ "^a(.)c$"'), false);
  assert.equal(exchange.captures[1], 'b');
  assert.equal(holds('req.header["x-a"] !~ "^b"'), true);
});

test('backslashes of regular expressions need not be doubled', () => {
  assertAll(true, [
    'req.path =~ "\\.css$"',
    'req.path =~ "\\\\.css$"',
    'req.path =~ \\.css$',
    'req.header["x-quote"] =~ "\\""',
  ]);
  assertAll(false, ['req.host =~ "example\\.\\.com"']);
});

test('a regular expression sees the bytes of its own text', () => {
  assertAll(true, ['req.path =~ "/café\\.css"', 'req.path =~ "/caf..\\.css"']);
  assertAll(false, ['req.path =~ "/caf.\\.css"']);
});

test('a text longer than the limit does not match', () => {
  const matches = compileCondition('req.env["a"] =~ "^a"');
  exchange.environment.set('a', 'a'.repeat(MAX_SUBJECT_BYTES));
  assert.equal(matches(exchange), true);
  exchange.environment.set('a', 'a'.repeat(MAX_SUBJECT_BYTES + 1));
  assert.equal(matches(exchange), false);
});

test('addresses belong to networks, in addresses and in fields', () => {
  assertAll(true, [
    ...[
      'req.remoteip =/ 192.0.2.0/24',
      'req.remoteip =/ "192.0.2.77"',
      'req.remoteip =/ 0.0.0.0/0',
      'req.remoteip !/ 10.0.0.0/8',
    ],
    ...[
      'req.remoteip !/ ::/0',
      'req.remoteip == 192.0.2.77',
      'req.remoteip != 192.0.2.7',
      'req.remoteip =^ "192.0.2."',
    ],
    ...[
      'req.header["x-forwarded-for"] =/ 10.0.0.0/8',
      'req.header["x-a"] !/ 0.0.0.0/0',
      'req.header["x-absent"] !/ ::/0',
    ],
  ]);
  assertAll(false, ['req.remoteip =/ 192.0.2.0/26', 'req.remoteip == 192.0.2.7', 'req.remoteip !/ 192.0.2.77/32']);
});

test('IPv6 addresses are compared whatever their notation, and mapped IPv4 ones as IPv4', async () => {
  const from = async (remoteAddress: string, condition: string) =>
    compileCondition(condition)(await exchangeOf({ remoteAddress }));
  assert.equal(await from('2001:db8::1', 'req.remoteip =/ 2001:db8::/32'), true);
  assert.equal(await from('2001:db8::1', 'req.remoteip =/ 2001:db9::/32'), false);
  assert.equal(await from('2001:db8::1', 'req.remoteip == "2001:0DB8:0:0::1"'), true);
  assert.equal(await from('fe80::1%eth0', 'req.remoteip =/ fe80::/10'), true);
  assert.equal(await from('::ffff:10.1.2.3', 'req.remoteip =/ 10.0.0.0/8'), true);
  assert.equal(await from('::ffff:10.1.2.3', 'req.remoteip == 10.1.2.3'), true);
});

test('booleans stand alone', () => {
  assertAll(false, ['req.is_handled', 'not not req.is_handled', 'phys.exists']);
  assertAll(true, ['!req.is_handled', 'not req.is_handled', '! phys.is_dir', '!!!phys.is_file']);
  exchange.respond({ status: 200, fields: new Fields(), body: null, delimited: true });
  assert.equal(holds('req.is_handled and resp.status == 200'), true);
  exchange.response = undefined;
});

test('and binds stronger than or, and parentheses stronger than both', () => {
  const [yes, no] = ['req.method == POST', 'req.method == GET'];
  assertAll(true, [
    `${yes} or ${no} and ${no}`,
    `${no} and ${no} or ${yes}`,
    `${yes} and (${no} or ${yes})`,
    `not (${no}) and ${yes}`,
  ]);
  assertAll(false, [
    `(${yes} or ${no}) and ${no}`,
    `${no} and (${no} or ${yes})`,
    `not (${yes} or ${no})`,
    `not ${no} and ${no}`,
  ]);
});

test('a condition may be laid out as one likes', () => {
  assertAll(true, [
    ' ( req.path=^"/api"\n\tand not(req.method==GET or req.header["x-a"] =~ "^b") ) ',
    'req.path =^ "/api" and not (req.method == "GET" or req.header["x"] =~ "^a(.*)$")',
    'request.method == POST',
  ]);
});

test('words of the language can be compared with, in quotes', () => {
  assertAll(false, ['req.host == "and"', 'req.host == "not"', 'req.host == android']);
  assert.equal(fault('req.host == and'), '12: put "and" in quotes to compare with it');
});

test('what follows an "and" is only looked at when it matters', () => {
  exchange.captures = [];
  assert.equal(holds('req.method == GET and req.path =~ "(.*)"'), false);
  assert.equal(holds('req.method == POST or req.path =~ "(.*)"'), true);
  assert.deepEqual(exchange.captures, []);
});

test('a fault is named, with its place', () => {
  assert.equal(fault(''), '0: expected a variable');
  assert.equal(fault('req.pth == "/"'), '0: unknown variable "req.pth", did you mean "req.path"?');
  assert.equal(fault('not (req.hots == a)'), '5: unknown variable "req.hots", did you mean "req.host"?');
  assert.equal(fault('req.path == "/" and'), '19: expected a variable');
  assert.equal(fault('req.path == "/" req.host == "a"'), '16: expected "and", "or" or the end');
  assert.equal(fault('(req.path == "/"'), '16: expected ")"');
  assert.equal(fault('req.path == "/")'), '15: expected "and", "or" or the end');
  assert.equal(fault('req.path =='), '11: expected a value, a word or text in double quotes');
  assert.equal(fault('req.path == "a'), '12: expected a value, a word or text in double quotes');
  assert.equal(fault("req.method == 'GET'"), '14: expected a value, a word or text in double quotes');
  assert.match(fault('req.path'), /^8: expected an operator, one of == != /);
  assert.match(fault('req.path = "/"'), /^9: expected an operator, one of == != /);
  assert.equal(fault('req.path =~ "("'), '12: Invalid regular expression: /(/s: Unterminated group');
  assert.equal(fault('req.path < 5'), '9: request.path is text: "<" compares numbers');
  assert.equal(fault('req.length =^ 5'), '11: request.length is a number: "=^" compares text');
  assert.equal(fault('req.length == five'), '14: request.length is a number, "five" is none');
  assert.equal(fault('phys.exists == true'), '12: physical.exists is true or false: use it alone, or with "not"');
  for (const network of [
    '10.0.0.0/33',
    '::/129',
    '10.0.0',
    'localhost',
    '10.0.0.0/',
    '/8',
    '10.0.0.0/8/8',
    '[::1]',
    'fe80::1%eth0',
  ]) {
    assert.equal(
      fault(`req.remoteip =/ ${network}`),
      `16: "${network}" is not an address or a network such as 10.0.0.0/8`,
    );
  }
  assert.equal(
    fault('req.remoteip == 10.0.0.0/8'),
    '16: "10.0.0.0/8" is not an address or a network such as 10.0.0.0/8',
  );
});

test('conditions nested without end are refused', () => {
  const nested = (depth: number) => `${'('.repeat(depth)}req.is_handled${')'.repeat(depth)}`;
  assert.equal(fault(nested(64)), 'none');
  assert.equal(fault(nested(65)), '65: nested too deeply');
  assert.match(fault(nested(100_000)), /nested too deeply/);
  assert.match(fault(`${'!'.repeat(100_000)}req.is_handled`), /nested too deeply/);
});

test('the schema of a condition names the fault and where it is', () => {
  assert.equal(conditionSchema.parse('req.method == POST')(exchange), true);
  const issues = conditionSchema.safeParse('req.method == POST and req.pth').error?.issues ?? [];
  assert.deepEqual(
    issues.map((issue) => issue.message),
    ['unknown variable "req.pth", did you mean "req.path"? (at character 24)'],
  );
});

type Tree = boolean | { not: Tree } | { and: [Tree, Tree] } | { or: [Tree, Tree] };

const trees = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, depthIdentifier: 'tree' },
    fc.boolean(),
    fc.record({ not: tie('tree') }),
    fc.record({ and: fc.tuple(tie('tree'), tie('tree')) }),
    fc.record({ or: fc.tuple(tie('tree'), tie('tree')) }),
  ),
})).tree;

/** As few parentheses as the grammar needs. */
function written(tree: Tree, within: 'or' | 'and' | 'not' = 'or'): string {
  if (typeof tree === 'boolean') return `req.method ${tree ? '==' : '!='} POST`;
  if ('not' in tree) return `not ${written(tree.not, 'not')}`;
  if ('and' in tree) {
    const text = tree.and.map((side) => written(side, 'and')).join(' and ');
    return within === 'not' ? `(${text})` : text;
  }
  const text = tree.or.map((side) => written(side, 'or')).join(' or ');
  return within === 'or' ? text : `(${text})`;
}

function truth(tree: Tree): boolean {
  if (typeof tree === 'boolean') return tree;
  if ('not' in tree) return !truth(tree.not);
  return 'and' in tree ? tree.and.every(truth) : tree.or.some(truth);
}

test('a condition means what the tree it was written from means', () => {
  fc.assert(
    fc.property(trees, (tree) => {
      assert.equal(holds(written(tree)), truth(tree));
    }),
  );
});

test('any text compares equal to itself, in quotes', () => {
  const equals = fc.property(fc.string({ unit: 'binary' }), (text) => {
    exchange.environment.set('a', Buffer.from(text).toString('latin1'));
    assert.equal(holds(`req.env["a"] == "${text.replace(/["\\]/g, '\\$&')}"`), true);
  });
  fc.assert(equals);
});

test('no byte of a path, a line end included, evades an expression', async () => {
  const exchange = await exchangeOf({ url: '/admin/%0asecret' });
  assert.equal(compileCondition('req.path =~ "^/admin/.*secret$"')(exchange), true);
});

test('any text is a condition or a fault with a place in it', () => {
  const pieces = fc.constantFrom(
    'req.path',
    'req.is_handled',
    '==',
    '=~',
    '"',
    '(',
    ')',
    ' and ',
    ' or ',
    'not ',
    '!',
    'a',
    '\\',
    '[',
  );
  fc.assert(
    fc.property(fc.array(pieces), (parts) => {
      const text = parts.join('');
      try {
        assert.equal(typeof holds(text), 'boolean');
      } catch (error) {
        assert.ok(error instanceof ConditionError && error.offset >= 0 && error.offset <= text.length);
      }
    }),
  );
});
