import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hostLabels } from '../../src/actions/captures.js';
import { compilePattern, PatternError, patternSchema } from '../../src/actions/pattern.js';
import { exchangeOf } from '../support/exchange.js';

const exchange = await exchangeOf({
  url: '/caf%C3%A9/a%20b?x=y',
  headers: { Host: 'Example.com:8080', 'Accept-Language': 'de', Cookie: 'a=b;c' },
});
exchange.captures = ['whole', 'one', undefined, 'three'];

function expand(text: string): string {
  return compilePattern(text).expand(exchange);
}

function fault(text: string): string {
  try {
    compilePattern(text);
  } catch (error) {
    if (error instanceof PatternError) return `${error.offset}: ${error.message}`;
    throw error;
  }
  return 'none';
}

test('text stands for its own UTF-8 bytes', () => {
  assert.equal(expand(''), '');
  assert.equal(expand('plain?{}<>[]()"'), 'plain?{}<>[]()"');
  assert.equal(expand('café'), 'caf\xc3\xa9');
});

test('a backslash takes the meaning from $ % ? and itself', () => {
  assert.equal(expand('\\$1 \\%{x} \\? \\\\'), '$1 %{x} ? \\');
});

test('a variable is written in braces or in angle brackets', () => {
  assert.equal(expand('%{req.path}'), '/caf\xc3\xa9/a b');
  assert.equal(expand('%<req.path>'), '/caf\xc3\xa9/a b');
  assert.equal(expand('%{req.scheme}://%{request.host}%<req.raw_path>'), 'http://example.com/caf%C3%A9/a%20b?x=y');
  assert.equal(expand('%{req.authority}?%{req.query}'), 'example.com:8080?x=y');
  assert.equal(expand('%{req.header["accept-language"]}|%{req.header[COOKIE]}|%<req.header["x-absent"]>'), 'de|a=b;c|');
});

test('numbers and booleans are written as lighttpd2 does', () => {
  assert.equal(expand('%{req.length} %{resp.status} %{req.is_handled}'), '0 0 FALSE');
});

test('enc: URL-encodes as lighttpd2 does', () => {
  assert.equal(expand('%{enc:req.path}'), '/caf%c3%a9/a%20b');
  assert.equal(expand('%<enc:req.header["cookie"]>'), 'a%3db%3bc');
});

test('captures of the last regular expression are inserted, missing ones empty', () => {
  assert.equal(expand('<%0|%1|%2|%3|%9>'), '<whole|one||three|>');
  assert.equal(expand('%[1]%[03]%[99]'), 'onethree');
  assert.equal(expand('%[0-3] %[2-] %[1-1]'), 'wholeonethree three one');
});

test('a range whose first number is the larger one goes backwards, and an open end is very large', () => {
  assert.equal(expand('%[3-1] %[-1] %[-0]'), 'threeone threeone threeonewhole');
});

test('captures of the action itself are inserted when it has any', () => {
  const pattern = compilePattern('/var/www/$1/$[2-]/%1/$9');
  assert.equal(pattern.expand(exchange, hostLabels('a.b.example.com')), '/var/www/com/a.b.example/one/');
  assert.equal(pattern.expand(exchange), '/var/www///one/');
  assert.equal(compilePattern('$0').expand(exchange, hostLabels('a.b')), 'a.b');
});

test('a pattern says whether it may be made of the decoded path', () => {
  for (const text of ['%{req.path}', 'a%{enc:req.path}', '%<phys.path>', '%1', '%[0-]', '$1', '%{req.env["a"]}']) {
    assert.equal(compilePattern(text).usesDecodedPath, true, text);
  }
  for (const text of ['', 'req.path', '\\%{req.path}', '%{req.raw_path}', '%{req.host}%{req.query}']) {
    assert.equal(compilePattern(text).usesDecodedPath, false, text);
  }
});

test('a pattern knows its source', () => {
  assert.equal(compilePattern('a%{req.host}').source, 'a%{req.host}');
});

test('a fault is named, with its place', () => {
  assert.equal(fault('%{req.pth}'), '2: unknown variable "req.pth", did you mean "req.path"?');
  assert.equal(fault('ab%<enc:req.pth>'), '8: unknown variable "req.pth", did you mean "req.path"?');
  assert.equal(fault('%{req.host'), '0: "%{" without "}"');
  assert.equal(fault('a%<req.host}'), '1: "%<" without ">"');
  assert.equal(fault('%{}'), '2: "" is not the name of a variable');
  assert.equal(fault('100%'), '3: "%" begins a variable or a capture: write "\\%" for the character itself');
  assert.equal(fault('$x'), '0: "$" begins a capture: write "\\$" for the character itself');
  assert.equal(fault('${req.path}'), '0: "$" begins a capture: write "\\$" for the character itself');
  assert.equal(fault('a\\n'), '1: a backslash escapes only $ % ? and \\');
  assert.equal(fault('a\\'), '1: a backslash escapes only $ % ? and \\');
  assert.equal(fault('%[-]'), '0: empty range');
  for (const range of ['%[]', '%[a]', '$[1', '%[1-2-3]', '%[ 1]', '%[9999999999]']) {
    assert.equal(fault(range), '0: a range is [n], [n-m], [n-] or [-m]', range);
  }
});

test('the schema of a pattern names the fault and where it is', () => {
  assert.equal(patternSchema.parse('%{req.host}').expand(exchange), 'example.com');
  const issues = patternSchema.safeParse('a%{req.pth}').error?.issues ?? [];
  assert.deepEqual(
    issues.map((issue) => issue.message),
    ['unknown variable "req.pth", did you mean "req.path"? (at character 4)'],
  );
  assert.equal(patternSchema.safeParse(5).success, false);
});

test('any text, escaped, is a pattern that stands for itself', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const pattern = compilePattern(text.replace(/[$%?\\]/g, '\\$&'));
      assert.equal(Buffer.from(pattern.expand(exchange), 'latin1').toString('utf8'), text);
    }),
  );
});

test('any text is a pattern or a fault with a place in it', () => {
  const pieces = fc.constantFrom('%', '$', '{', '}', '<', '>', '[', ']', '-', '1', '\\', 'req.host', 'enc:', '?');
  fc.assert(
    fc.property(fc.array(pieces), (parts) => {
      const text = parts.join('');
      try {
        assert.equal(typeof compilePattern(text).expand(exchange), 'string');
      } catch (error) {
        assert.ok(error instanceof PatternError && error.offset >= 0 && error.offset <= text.length);
      }
    }),
  );
});
