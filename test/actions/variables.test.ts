import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Exchange } from '../../src/actions/exchange.js';
import { findVariable, VARIABLES, VariableError } from '../../src/actions/variables.js';
import { Fields } from '../../src/http/fields.js';
import { exchangeOf } from '../support/exchange.js';

function read(exchange: Exchange, name: string): string | number | boolean {
  return findVariable(name).read(exchange);
}

function fault(name: string): string {
  try {
    findVariable(name);
  } catch (error) {
    if (error instanceof VariableError) return error.message;
    throw error;
  }
  return 'none';
}

test('every variable of lighttpd2 is there, under its long and its short name', () => {
  const names: { readonly [short: string]: readonly string[] } = {
    req: [
      ...['localip', 'localport', 'remoteip', 'remoteport', 'path', 'raw_path', 'host', 'scheme', 'query', 'method'],
      ...['length', 'header["a"]', 'is_handled', 'environment["a"]', 'env["a"]'],
    ],
    phys: ['path', 'exists', 'size', 'is_dir', 'is_file', 'docroot', 'pathinfo'],
    resp: ['status', 'header["a"]'],
  };
  const long: { readonly [short: string]: string } = { req: 'request', phys: 'physical', resp: 'response' };
  for (const [short, of] of Object.entries(names)) {
    for (const name of of) {
      const full = `${long[short]}.${name.replace('env[', 'environment[')}`;
      assert.equal(findVariable(`${short}.${name}`).name, full);
      assert.equal(findVariable(`${long[short]}.${name}`).name, full);
    }
  }
});

test('every variable of the table is found by its name and says what it is', () => {
  for (const variable of VARIABLES) {
    const name = 'of' in variable ? `${variable.name}["a"]` : variable.name;
    assert.equal(findVariable(name).name, name);
    assert.equal(findVariable(name).type, variable.type);
    assert.match(variable.help, /^\S.*[^.]$/);
  }
});

test('the parts of a request are read', async () => {
  const exchange = await exchangeOf({
    method: 'POST',
    url: '/a/../caf%C3%A9?x=%2F',
    headers: { Host: 'Www.Example.com.:8080', Accept: ['a', 'b'] },
    remoteAddress: '192.0.2.1',
    body: 'abc',
  });
  const wanted = {
    'req.method': 'POST',
    'req.path': '/caf\xc3\xa9',
    'req.raw_path': '/a/../caf%C3%A9?x=%2F',
    'req.query': 'x=%2F',
    'req.host': 'www.example.com',
    'req.authority': 'www.example.com:8080',
    'req.scheme': 'http',
    'req.remoteip': '192.0.2.1',
    'req.length': 3,
    'req.header["aCCept"]': 'a, b',
    'req.header[accept]': 'a, b',
    'req.header["x-absent"]': '',
    'req.is_handled': false,
    'resp.status': 0,
    'resp.header["a"]': '',
    'phys.path': '',
    'phys.docroot': '',
    'phys.pathinfo': '',
    'phys.exists': false,
    'phys.size': -1,
  };
  for (const [name, value] of Object.entries(wanted)) assert.equal(read(exchange, name), value, name);
});

test('an IPv4 address is one, on a socket for both protocols too', async () => {
  assert.equal(read(await exchangeOf({ remoteAddress: '::ffff:192.0.2.1' }), 'req.remoteip'), '192.0.2.1');
  assert.equal(read(await exchangeOf({ remoteAddress: '2001:db8::1' }), 'req.remoteip'), '2001:db8::1');
});

test('a request without a body has length 0, one of unknown length -1', async () => {
  assert.equal(read(await exchangeOf(), 'req.length'), 0);
  const chunked = await exchangeOf({ method: 'POST', headers: { 'Transfer-Encoding': 'chunked' }, body: 'abc' });
  chunked.request.fields.delete('content-length');
  assert.equal(read(chunked, 'req.length'), -1);
});

test('the response is read once there is one', async () => {
  const exchange = await exchangeOf();
  exchange.respond({ status: 404, fields: new Fields(['X-A', 'b']), body: null, delimited: true });
  assert.equal(read(exchange, 'req.is_handled'), true);
  assert.equal(read(exchange, 'resp.status'), 404);
  assert.equal(read(exchange, 'resp.header["x-a"]'), 'b');
});

test('environment variables are what actions left', async () => {
  const exchange = await exchangeOf();
  assert.equal(read(exchange, 'req.env["a b"]'), '');
  exchange.environment.set('a b', 'c');
  assert.equal(read(exchange, 'req.env["a b"]'), 'c');
});

const directory = mkdtempSync(join(tmpdir(), 'lookaside-variables-'));
after(() => rmSync(directory, { recursive: true }));
writeFileSync(join(directory, 'é.txt'), 'twelve bytes');

test('files are looked at where docroot and path say', async () => {
  const exchange = await exchangeOf();
  const at = (path: string) => {
    exchange.physical = { docroot: directory, path };
    return ['phys.exists', 'phys.is_file', 'phys.is_dir', 'phys.size'].map((name) => read(exchange, name));
  };
  assert.deepEqual(at('/\xc3\xa9.txt'), [true, true, false, 12]);
  assert.deepEqual(at('/').slice(0, 3), [true, false, true]);
  for (const path of ['/absent', '/\xc3\xa9.txt/below', '/a\0b', `/${'x'.repeat(5000)}`]) {
    assert.deepEqual(at(path), [false, false, false, -1], path.slice(0, 20));
  }
  exchange.physical = { docroot: directory, path: '/a', pathinfo: '/b' };
  assert.equal(read(exchange, 'phys.path'), `${directory}/a`);
  assert.equal(read(exchange, 'phys.docroot'), directory);
  assert.equal(read(exchange, 'phys.pathinfo'), '/b');
});

test('what may be made of the decoded path says so', () => {
  const decoded = ['req.path', 'phys.path', 'phys.exists', 'phys.docroot', 'req.env["a"]'];
  for (const name of decoded) assert.equal(findVariable(name).decodedPath, true, name);
  for (const name of ['req.raw_path', 'req.query', 'req.host', 'req.header["a"]', 'resp.status']) {
    assert.equal(findVariable(name).decodedPath, undefined, name);
  }
});

test('an unknown variable is refused, with the one that was meant', () => {
  assert.equal(fault('req.pth'), 'unknown variable "req.pth", did you mean "req.path"?');
  assert.equal(fault('request.hosts'), 'unknown variable "request.hosts", did you mean "request.host"?');
  assert.equal(fault('req.heder["a"]'), 'unknown variable "req.heder", did you mean "req.header"?');
  assert.equal(fault('__proto__'), 'unknown variable "__proto__"');
  assert.equal(fault('path'), 'unknown variable "path"');
});

test('a name in brackets is needed where it says what is meant, and nowhere else', () => {
  assert.equal(fault('req.header'), '"req.header" needs a name, as in req.header["name"]');
  assert.equal(fault('req.header[]'), '"req.header" needs a name, as in req.header["name"]');
  assert.equal(fault('req.header[""]'), '"req.header" needs a name, as in req.header["name"]');
  assert.equal(fault('req.path["a"]'), '"req.path" takes no name in brackets');
  assert.equal(fault('req.header["a b"]'), '"a b" can not be the name of a field');
  assert.equal(fault('resp.header["a:"]'), '"a:" can not be the name of a field');
  for (const text of ['', ' req.path', 'req.path ', 'req.header["a"', 'req.header["a"]x', 'req.path\n']) {
    assert.equal(fault(text), `"${text}" is not the name of a variable`);
  }
});
