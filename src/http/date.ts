/**
 * The time an HTTP-date names, in milliseconds since 1970, or `undefined` when `text` is none. Exactly the three forms
 * of RFC 9110, section 5.6.7 are read, names without regard to case; whether the day of the week fits is not checked.
 *
 * @param nowMs decides the century of an RFC 850 date: its two-digit year is the latest one that is not more than 50
 *   years ahead of now.
 */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  const fixed = IMF_FIXDATE.exec(text) ?? ASCTIME.exec(text);
  if (fixed !== null) return timeOf(fixed, Number(fixed.groups?.year));
  const obsolete = RFC_850.exec(text);
  if (obsolete === null) return undefined;
  const now = new Date(nowMs);
  const century = Math.floor(now.getUTCFullYear() / 100) * 100;
  const latest = now.setUTCFullYear(now.getUTCFullYear() + 50);
  for (const start of [century + 100, century, century - 100]) {
    const time = timeOf(obsolete, start + Number(obsolete.groups?.year));
    if (time !== undefined && time <= latest) return time;
  }
  return undefined;
}

/** `Sun, 06 Nov 1994 08:49:37 GMT`. `ms` is a time within the years 0 to 9999. */
export function formatHttpDate(ms: number): string {
  // ECMAScript defines toUTCString as exactly this form.
  return new Date(ms).toUTCString();
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

const SHORT_DAY = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const LONG_DAY = '(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day';
const MONTH = '(?<month>[A-Z]{3})';
const TIME = '(?<hour>\\d{2}):(?<minute>\\d{2}):(?<second>\\d{2})';

const IMF_FIXDATE = new RegExp(`^${SHORT_DAY}, (?<day>\\d{2}) ${MONTH} (?<year>\\d{4}) ${TIME} GMT$`, 'i');
const RFC_850 = new RegExp(`^${LONG_DAY}, (?<day>\\d{2})-${MONTH}-(?<year>\\d{2}) ${TIME} GMT$`, 'i');
const ASCTIME = new RegExp(`^${SHORT_DAY} ${MONTH} (?<day>\\d{2}| \\d) ${TIME} (?<year>\\d{4})$`, 'i');

function timeOf({ groups = {} }: RegExpExecArray, year: number): number | undefined {
  const month = MONTHS.indexOf(groups.month?.toLowerCase() ?? '');
  const [day, hour, minute, second] = [groups.day, groups.hour, groups.minute, groups.second].map(Number);
  if (day === undefined || hour === undefined || minute === undefined || second === undefined) return undefined;
  // 60 is a leap second, which the time scale of computers counts as the first of the next minute.
  if (month < 0 || hour > 23 || minute > 59 || second > 60) return undefined;
  // Date.UTC would take the years 0 to 99 for 1900 to 1999; a day that the month does not have ends up in the next.
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  if (date.getUTCMonth() !== month) return undefined;
  return date.setUTCHours(hour, minute, second);
}
