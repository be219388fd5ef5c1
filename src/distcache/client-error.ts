/**
 * Why an operation of a client got no answer.
 *
 * | code | meaning |
 * |---|---|
 * | `connection` | no connection could be made, or it broke before the answer came |
 * | `timeout` | no answer in time; the connection was given up |
 * | `disconnected` | a proxy answered that its server is away, or was lost with the request in flight |
 * | `protocol` | the server sent something it must not; the connection was closed unless the message itself was well-formed |
 * | `busy` | too many operations wait already |
 * | `closed` | the client was closed |
 *
 * None of them says whether an ADD or a REMOVE took effect, except `busy`: that one was not sent.
 */
export type DistcacheErrorCode = 'connection' | 'timeout' | 'disconnected' | 'protocol' | 'busy' | 'closed';

/** What the operations of a client reject with when there is no answer. */
export class DistcacheError extends Error {
  override readonly name = 'DistcacheError';
  readonly code: DistcacheErrorCode;

  constructor(code: DistcacheErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
