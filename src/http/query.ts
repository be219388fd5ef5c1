/** Makes one text of all queries that mean the same; what it returns is what is asked of the origin. */
export type QueryNormaliser = (query: string) => string;

/** Which parameters tell responses apart. A name that ends with `*` stands for all that begin with what is before it. */
export interface QueryRules {
  /** Parameters to leave out. */
  readonly ignore?: readonly string[] | undefined;
  /** The only parameters to keep; what `ignore` names is left out all the same. Default: all. */
  readonly keep?: readonly string[] | undefined;
  /** Whether the order of parameters with different names does not matter. Default: false. */
  readonly sort?: boolean | undefined;
}

/** {@link queryNormaliser} for one query. */
export function normalisedQuery(query: string, rules: QueryRules): string {
  return queryNormaliser(rules)(query);
}

export function queryNormaliser({ ignore = [], keep, sort = false }: QueryRules): QueryNormaliser {
  const isIgnored = nameMatcher(ignore);
  const isListed = keep === undefined ? () => true : nameMatcher(keep);
  return parameterNormaliser((name) => isListed(name) && !isIgnored(name), sort);
}

/**
 * Works on the query as it was sent, without its `?`: a parameter is recognised by its decoded name, since that is what
 * the origin sees, but kept letter by letter. A query that has nothing to leave out or to sort is returned as it is.
 */
export function parameterNormaliser(keeps: (name: string) => boolean, sort: boolean): QueryNormaliser {
  return (query) => {
    if (query === '') return query;
    const parameters = query.split('&').map((text) => ({ text, name: parameterName(text) }));
    const left = parameters.filter(({ text, name }) => text === '' || keeps(name));
    if (!sort && left.length === parameters.length) return query;
    // Array.prototype.sort is stable: parameters of one name stay in their order.
    if (sort) left.sort((a, b) => compare(a.name, b.name));
    return left
      .map(({ text }) => text)
      .filter((text) => text !== '')
      .join('&');
  };
}

/** The name in `name=value` as forms encode it: `+` is a space, `%XX` a byte. An invalid escape stands for itself. */
export function parameterName(parameter: string): string {
  const equals = parameter.indexOf('=');
  const name = equals < 0 ? parameter : parameter.slice(0, equals);
  if (!/[%+]/.test(name)) return name;
  return name
    .replaceAll('+', ' ')
    .replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function nameMatcher(patterns: readonly string[]): (name: string) => boolean {
  const exact = new Set(patterns.filter((pattern) => !pattern.endsWith('*')));
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1));
  return (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}
