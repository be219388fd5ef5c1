import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sessionIdContext } from '../../src/tls/session-id-context.js';

const required = { requestCert: true, ca: ['one', 'two'] };

test('a context is one that OpenSSL takes, and the same for the same fleet and policy', () => {
  const context = sessionIdContext('fleet', {});
  assert.match(context, /^[\w-]{32}$/);
  assert.equal(sessionIdContext('fleet', { ca: 'not asked for', rejectUnauthorized: true }), context);
  assert.equal(
    sessionIdContext('fleet', { requestCert: true, ca: [Buffer.from('two'), 'one'], rejectUnauthorized: true }),
    sessionIdContext('fleet', required),
  );
});

test('fleets and policies that differ have contexts that differ', () => {
  const contexts = [
    sessionIdContext('fleet', {}),
    sessionIdContext('another', {}),
    sessionIdContext('fleet', { requestCert: true }),
    sessionIdContext('fleet', required),
    sessionIdContext('fleet', { ...required, rejectUnauthorized: false }),
    sessionIdContext('fleet', { ...required, ca: 'onetwo' }),
    sessionIdContext('fleet', { ...required, ca: ['one'] }),
    sessionIdContext('fleet', { ...required, crl: 'one' }),
    sessionIdContext('fleet', { ...required, pfx: [{ buf: Buffer.from('one'), passphrase: '' }] }),
  ];
  assert.equal(new Set(contexts).size, contexts.length);
});
