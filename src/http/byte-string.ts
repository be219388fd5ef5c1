/**
 * Byte strings: text as it travels through the house, one character (0x00–0xff) a byte. What came over the wire is one
 * already; text that a person wrote (configs, the command line) becomes one here.
 */

/** The UTF-8 bytes of `text`, as a byte string. */
export function utf8ToBytes(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

const ASCII = /^[\x20-\x7e]*$/;

/** The text that a byte string is in UTF-8; what is none of that becomes U+FFFD. */
export function bytesToText(bytes: string): string {
  return ASCII.test(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}
