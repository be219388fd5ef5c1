/**
 * Byte strings: text as it travels through the house, one character (0x00–0xff) a byte. What came over the wire is one
 * already; text that a person wrote (configs, the command line) becomes one here.
 */

/** The UTF-8 bytes of `text`, as a byte string. */
export function utf8ToBytes(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

const ASCII = /^[\x20-\x7e]*$/;
