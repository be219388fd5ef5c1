import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseList } from 'structured-headers';
import { formatProxyStatus } from '../../src/http/proxy-status.js';

test('the error is told, and what else is known', () => {
  assert.equal(formatProxyStatus('lookaside', { error: 'connection_refused' }), 'lookaside; error=connection_refused');
  assert.equal(
    formatProxyStatus('edge 1', { error: 'http_protocol_error', receivedStatus: 200, detail: 'bad "length"' }),
    '"edge 1"; error=http_protocol_error; received-status=200; detail="bad \\"length\\""',
  );
});

test('what no structured field can hold is left out', () => {
  assert.equal(
    formatProxyStatus('caf\xe9', { error: 'dns_error', detail: 'a\r\nb', receivedStatus: undefined }),
    'lookaside; error=dns_error',
  );
});

test('a parser of structured fields reads it back', () => {
  const [member] = parseList(
    formatProxyStatus('x', { error: 'connection_timeout', detail: '\\', receivedStatus: 502 }),
  );
  const parameters = member?.[1];
  assert.deepEqual([parameters?.get('received-status'), parameters?.get('detail')], [502, '\\']);
});
