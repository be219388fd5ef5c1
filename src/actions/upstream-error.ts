/**
 * Why an upstream gave no response, in the words of RFC 9209, section 2.3. The same word goes to the log line and to the
 * `error` parameter of `Proxy-Status`.
 */
export type UpstreamFailure = keyof typeof FAILURES;

/** The status each failure is answered with: 504 when time ran out, 503 when we refuse, 502 for all others. */
const FAILURES = {
  dns_error: 502,
  dns_timeout: 504,
  destination_ip_unroutable: 502,
  connection_refused: 502,
  connection_timeout: 504,
  connection_terminated: 502,
  connection_limit_reached: 503,
  tls_certificate_error: 502,
  tls_protocol_error: 502,
  http_response_timeout: 504,
  http_response_header_section_size: 502,
  http_protocol_error: 502,
  proxy_internal_error: 502,
} as const;

/** A request to an upstream that ended without a response head. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly failure: UpstreamFailure;

  /** `subject` says what was asked of whom; it leads the message. */
  constructor(failure: UpstreamFailure, subject: string, cause?: Error) {
    super(`${subject}: ${failure}${cause === undefined ? '' : ` (${cause.message})`}`);
    this.failure = failure;
  }

  /** What the client is answered with. */
  get status(): number {
    return FAILURES[this.failure];
  }
}

/** What kind of failure an error of undici, of a socket or of TLS is. */
export function upstreamFailure(error: Error): UpstreamFailure {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = BY_CODE.get(code);
  if (known !== undefined) return known;
  if (code.startsWith('HPE_')) return 'http_protocol_error';
  if (code.startsWith('ERR_SSL_')) return 'tls_protocol_error';
  return 'proxy_internal_error';
}

const BY_CODE: ReadonlyMap<string, UpstreamFailure> = new Map([
  ['ENOTFOUND', 'dns_error'],
  ['EAI_AGAIN', 'dns_timeout'],
  ['EHOSTUNREACH', 'destination_ip_unroutable'],
  ['ENETUNREACH', 'destination_ip_unroutable'],
  ['EADDRNOTAVAIL', 'destination_ip_unroutable'],
  ['ECONNREFUSED', 'connection_refused'],
  ['ETIMEDOUT', 'connection_timeout'],
  ['UND_ERR_CONNECT_TIMEOUT', 'connection_timeout'],
  ['ECONNRESET', 'connection_terminated'],
  ['EPIPE', 'connection_terminated'],
  ['UND_ERR_SOCKET', 'connection_terminated'],
  ['EMFILE', 'connection_limit_reached'],
  ['ENFILE', 'connection_limit_reached'],
  ['UND_ERR_HEADERS_TIMEOUT', 'http_response_timeout'],
  ['UND_ERR_HEADERS_OVERFLOW', 'http_response_header_section_size'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'http_protocol_error'],
  ['EPROTO', 'tls_protocol_error'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls_certificate_error'],
  // OpenSSL's verification results, as node:tls names them
  ['CERT_HAS_EXPIRED', 'tls_certificate_error'],
  ['CERT_NOT_YET_VALID', 'tls_certificate_error'],
  ['CERT_REVOKED', 'tls_certificate_error'],
  ['CERT_REJECTED', 'tls_certificate_error'],
  ['CERT_UNTRUSTED', 'tls_certificate_error'],
  ['CERT_SIGNATURE_FAILURE', 'tls_certificate_error'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'tls_certificate_error'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'tls_certificate_error'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'tls_certificate_error'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'tls_certificate_error'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'tls_certificate_error'],
]);
