/**
 * What an action offers the `$…` of its patterns: the text for a range of captures. A single capture is the range from
 * itself to itself, an open end is `Infinity`, and `from` above `to` asks for the reverse order.
 */
export type Captures = (from: number, to: number) => string;

/** The captures of a regular expression one behind the other; those that do not exist are empty. */
export function captureRange(values: readonly (string | undefined)[], from: number, to: number): string {
  const last = values.length - 1;
  let text = '';
  if (from <= to) for (let i = from; i <= Math.min(to, last); i++) text += values[i] ?? '';
  else for (let i = Math.min(from, last); i >= to; i--) text += values[i] ?? '';
  return text;
}

/**
 * The labels of a host name, as `docroot` numbers them: 1 is the top-level domain, 0 the complete name. A range gives
 * its labels joined with dots in the order they have in the name (`$[2-]` of www.example.com is `www.example`), in the
 * opposite order when it is reversed; a range that includes 0 is the complete name.
 */
export function hostLabels(host: string): Captures {
  const labels = host.split('.');
  return (from, to) => {
    if (from === 0 || to === 0) return host;
    const picked = labels.slice(
      clamp(labels.length - Math.max(from, to)),
      clamp(labels.length - Math.min(from, to) + 1),
    );
    return (from > to ? picked.reverse() : picked).join('.');
  };
}

/** Negative positions would count from the end. */
function clamp(position: number): number {
  return Math.max(0, position);
}
