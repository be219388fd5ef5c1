import { count, isPassed, type Score, verdictCounts } from './score.js';
import { KINDS, type Kind, type TestGroup } from './suite.js';

/** A cache and what it scored: a column of the table. */
export interface Column {
  readonly name: string;
  readonly score: Score;
}

/** The verdicts of one run, by kind, for a terminal. */
export function summary(groups: readonly TestGroup[], score: Score): string {
  const counts = verdictCounts(groups, score);
  return KINDS.map((kind) => {
    const verdicts = [...(counts.get(kind) ?? [])].map(([verdict, times]) => `${times} ${verdict.replace('_', ' ')}`);
    const { passed, total } = count(groups, kind, score);
    return `${kind.padEnd(9)} ${`${passed}/${total}`.padStart(8)}   ${verdicts.join(', ')}`;
  }).join('\n');
}

/** One run by suite, for a terminal. */
export function bySuite(groups: readonly TestGroup[], score: Score): string {
  const width = Math.max(...groups.map(({ name }) => name.length));
  const line = (name: string, cells: readonly string[]) =>
    [name.padEnd(width), ...cells.map((cell) => cell.padStart(9))].join('  ').trimEnd();
  const rows = groups.map((group) =>
    line(
      group.name,
      KINDS.map((kind) => cell([group], kind, score)),
    ),
  );
  return [line('', KINDS), ...rows].join('\n');
}

/** The table of the README: for each kind the columns' numbers in all, then suite by suite. */
export function markdown(groups: readonly TestGroup[], columns: readonly Column[]): string {
  const names = columns.map(({ name }) => name);
  return KINDS.flatMap((kind) => {
    const withKind = groups.filter(({ tests }) => tests.some((test) => test.kind === kind));
    return [
      `### ${HEADINGS[kind]}`,
      '',
      row([`tests passed, of ${columns[0] ? count(groups, kind, columns[0].score).total : 0}`, ...names]),
      row(['---', ...names.map(() => '---:')]),
      row(['**all**', ...columns.map(({ score }) => `**${count(groups, kind, score).passed}**`)]),
      ...withKind.map((group) => {
        const { total } = count([group], kind, { verdicts: new Map() });
        return row([`${group.name} (${total})`, ...columns.map(({ score }) => passedOf(group, kind, score))]);
      }),
      '',
    ];
  })
    .join('\n')
    .trimEnd();
}

/** The required and optimal tests that one of the columns did not pass, with the suite's verdicts. */
export function notPassed(groups: readonly TestGroup[], columns: readonly Column[]): string {
  const rows = groups.flatMap(({ name, tests }) =>
    tests
      .filter(({ id, kind }) => kind !== 'check' && columns.some(({ score }) => !isPassed(score.verdicts.get(id))))
      .map(({ id, kind }) => row([`\`${id}\``, name, kind, ...columns.map(({ score }) => verdictOf(id, score))])),
  );
  const names = columns.map((column) => column.name);
  const heading = row(['test', 'suite', 'kind', ...names]);
  return ['### Not passed', '', heading, row(['---', '---', '---', ...names.map(() => '---')]), ...rows].join('\n');
}

function verdictOf(id: string, { verdicts }: Score): string {
  return (verdicts.get(id) ?? 'untested').replace('_', ' ');
}

const HEADINGS: { readonly [kind in Kind]: string } = {
  required: 'Required',
  optimal: 'Optimal',
  check: 'Check (behaviour that is neither right nor wrong)',
};

function cell(groups: readonly TestGroup[], kind: Kind, score: Score): string {
  const { passed, total } = count(groups, kind, score);
  return total === 0 ? '' : `${passed}/${total}`;
}

function passedOf(group: TestGroup, kind: Kind, score: Score): string {
  return String(count([group], kind, score).passed);
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
