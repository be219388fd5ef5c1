import type { Fields } from '../http/fields.js';

/** A kind of client that origins make different pages for. */
export type DeviceClass = 'phone' | 'tablet' | 'desktop' | 'bot';

/**
 * The field that tells the origin which class the key has. An origin that goes by it, and not by User-Agent, gives every
 * client of a class the same.
 */
export const DEVICE_FIELD = 'Lookaside-Device';

/** The class by `User-Agent`, and by `Sec-CH-UA-Mobile` where that knows better; who says nothing is a desktop. */
export function deviceClass(request: Fields): DeviceClass {
  const agent = request.get('user-agent') ?? '';
  if (BOT.test(agent)) return 'bot';
  if (TABLET.test(agent)) return 'tablet';
  if (request.get('sec-ch-ua-mobile') === '?1' || PHONE.test(agent)) return 'phone';
  // Browsers on Android tablets say Android without Mobile.
  return /Android/i.test(agent) ? 'tablet' : 'desktop';
}

/** CUBOT makes phones. */
const BOT = /(?<!cu)bot\b|crawl|spider|slurp|facebookexternalhit|mediapartners-google|lighthouse|headlesschrome/i;
/** Internet Explorer says "Tablet PC" on every desktop. */
const TABLET = /iPad|Tablet(?! PC)|PlayBook|Kindle/i;
const PHONE = /Mobi|iPhone|iPod|Windows Phone|BlackBerry|BB10|Opera Mini|IEMobile|webOS/i;
