const BLOCK = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----/g;

/** The DER of each certificate in a PEM file, in its order; what else lies in it (keys, comments) does not count. */
export function certificatesIn(pem: string | Uint8Array): Buffer[] {
  const text = typeof pem === 'string' ? pem : Buffer.from(pem).toString('latin1');
  return [...text.matchAll(BLOCK)].map(([, base64 = '']) => Buffer.from(base64, 'base64'));
}
