/** A time for people: the two largest units of it, such as `1 h 5 min`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const at = UNITS.findIndex(({ factor }) => whole >= factor);
  const [first, second] = at < 0 ? UNITS.slice(-1) : UNITS.slice(at);
  if (first === undefined) return String(whole);
  const count = Math.floor(whole / first.factor);
  const rest = second === undefined ? 0 : Math.floor((whole % first.factor) / second.factor);
  return `${count} ${first.name}${second === undefined || rest === 0 ? '' : ` ${rest} ${second.name}`}`;
}

const UNITS = [
  { name: 'd', factor: 86_400 },
  { name: 'h', factor: 3600 },
  { name: 'min', factor: 60 },
  { name: 's', factor: 1 },
];
