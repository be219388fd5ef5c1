import { DEFAULT_NAME, integer, quoted, tokenOrString } from './structured-field.js';

/** What a proxy says about a response it had to make itself, in the `Proxy-Status` response field (RFC 9209). */
export interface ProxyStatus {
  readonly error: ProxyError;
  /** Status that the next hop answered with, when it did. */
  readonly receivedStatus?: number | undefined;
  /** For people. Left out when it has other characters than printable ASCII. Must not hold what clients may not know. */
  readonly detail?: string | undefined;
}

/** The error types of RFC 9209, section 2.3, that this proxy can meet. */
export type ProxyError =
  | 'dns_error'
  | 'dns_timeout'
  | 'destination_unavailable'
  | 'destination_ip_unroutable'
  | 'connection_refused'
  | 'connection_terminated'
  | 'connection_timeout'
  | 'connection_read_timeout'
  | 'connection_limit_reached'
  | 'tls_protocol_error'
  | 'tls_certificate_error'
  | 'http_request_error'
  | 'http_response_incomplete'
  | 'http_response_header_section_size'
  | 'http_response_timeout'
  | 'http_upgrade_failed'
  | 'http_protocol_error'
  | 'proxy_internal_error'
  | 'proxy_internal_response'
  | 'proxy_loop_detected';

/** One member of a `Proxy-Status` field: `lookaside; error=connection_refused`. */
export function formatProxyStatus(proxyName: string, status: ProxyStatus): string {
  let text = `${tokenOrString(proxyName) ?? DEFAULT_NAME}; error=${status.error}`;
  if (status.receivedStatus !== undefined) text += `; received-status=${integer(status.receivedStatus)}`;
  const detail = status.detail === undefined ? undefined : quoted(status.detail);
  if (detail !== undefined) text += `; detail=${detail}`;
  return text;
}
