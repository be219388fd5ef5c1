import type { z } from 'zod';
import { EXIT, type ExitCode } from './exit.js';
import { complain } from './output.js';

/**
 * The command lines of the distcache tools, as the C programs took them: long options with one dash (or two), a value as
 * the next argument, and their error texts and exit codes.
 */
export interface CFlag {
  readonly name: string;
  /** What the value is called in the usage; without it the option takes none. */
  readonly value?: string;
  readonly help: string;
  /** Another name of the same option. */
  readonly alias?: string;
  /** What is said when the option comes a second time. Default: the last one counts. */
  readonly onSecond?: string;
}

export interface CTool<Schema extends z.ZodType> {
  /** The C program. */
  readonly name: string;
  readonly flags: readonly CFlag[];
  /** Checks the values by the options' names: text, or `true` for an option without value. */
  readonly schema: Schema;
  /** What the C program's messages put in front of an option's name, however it was written. */
  readonly dashes: '-' | '--';
}

/** Runs the tool with what the command line gives it, unless that is help or a mistake. */
export async function runCTool<Schema extends z.ZodType>(
  tool: CTool<Schema>,
  argv: readonly string[],
  run: (values: z.output<Schema>) => Promise<ExitCode>,
): Promise<ExitCode> {
  const read = readCFlags(tool, argv);
  if ('values' in read) return run(read.values);
  complain(read.text);
  return read.exit;
}

/** The values; or what there is to say instead, and the status to exit with. */
export type CFlags<Values> = { readonly values: Values } | { readonly exit: ExitCode; readonly text: string };

const HELP_FLAGS: ReadonlySet<string> = new Set(['-h', '-help', '-?', '--help']);

export function readCFlags<Schema extends z.ZodType>(
  tool: CTool<Schema>,
  argv: readonly string[],
): CFlags<z.output<Schema>> {
  const given = new Map<string, string | true>();
  const refused = (text: string): CFlags<never> => ({ exit: EXIT.no, text });
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i] ?? '';
    if (HELP_FLAGS.has(argument)) return { exit: EXIT.ok, text: usageOf(tool) };
    const flag = tool.flags.find(({ name, alias }) => isFlag(argument, name) || isFlag(argument, alias));
    if (flag === undefined) return refused(`Error, "${argument}" not recognised\n${usageOf(tool)}`);
    if (flag.onSecond !== undefined && given.has(flag.name)) return refused(flag.onSecond);
    const value = flag.value === undefined ? true : argv[++i];
    if (value === undefined) return refused(`Error, ${tool.dashes}${flag.name} requires an argument`);
    given.set(flag.name, value);
  }
  const checked = tool.schema.safeParse(Object.fromEntries(given));
  if (checked.success) return { values: checked.data };
  const [issue] = checked.error.issues;
  const reason = issue?.code === 'custom' ? `: ${issue.message}` : '';
  return refused(`Error, ${tool.dashes}${String(issue?.path[0])} given an invalid argument${reason}`);
}

function isFlag(argument: string, name: string | undefined): boolean {
  return name !== undefined && (argument === `-${name}` || argument === `--${name}`);
}

function usageOf({ name, flags }: CTool<z.ZodType>): string {
  const rows = flags.map((flag) => [
    [`-${flag.name}`, flag.value && `<${flag.value}>`].filter(Boolean).join(' '),
    flag.help,
  ]);
  const width = Math.max(...rows.map(([left = '']) => left.length));
  return [`Usage:  ${name} [options]`, ...rows.map(([left = '', help]) => `  ${left.padEnd(width)}  ${help}`)].join(
    '\n',
  );
}
