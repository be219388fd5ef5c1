import { isUtf8MimeType, mime } from '@fastify/send';

/** For a path without an extension that says more. */
const UNKNOWN_CONTENT_TYPE = 'application/octet-stream';

/** Content-Type by the extension of `path`, with the charset `static` gives the same file. */
export function contentType(path: string): string {
  const type = mime.getType(path);
  if (type === null) return UNKNOWN_CONTENT_TYPE;
  return isUtf8MimeType(type) ? `${type}; charset=utf-8` : type;
}
