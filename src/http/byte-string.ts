/**
 * Byte strings: text as it travels through the house, one character (0x00–0xff) a byte. What came over the wire is one
 * already; text that a person wrote (configs, the command line) becomes one here.
 */

/** The UTF-8 bytes of `text`, as a byte string. */
export function utf8ToBytes(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** The text that a byte string is in UTF-8, for people to read; what is not UTF-8 becomes U+FFFD. */
export function bytesToUtf8(bytes: string): string {
  return ASCII.test(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

const ASCII = /^[\x20-\x7e]*$/;
