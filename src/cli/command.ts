import { Command as Commander, CommanderError } from 'commander';
import type { z } from 'zod';
import { explainIssue, problemsOf } from '../actions/issues.js';
import { EXIT, EXIT_HELP, type ExitCode, exitCodeOf, UsageError } from './exit.js';
import { complain } from './output.js';

/** One command of `lookaside`: `--help`, the checks of its arguments and its error messages derive from it. */
export interface CommandDefinition {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What `--help` says besides: a paragraph or an example. */
  readonly details?: string;
  readonly args: readonly Argument[];
  readonly options: readonly Option[];
  /** Whether what follows the first argument is for the command itself to read, though it may look like an option. */
  readonly passesOptionsOn?: true;
  /** Checks `options` and runs. Rejects with an error that `exitCodeOf` knows, or with a bug. */
  run(args: readonly string[], options: unknown): Promise<ExitCode>;
}

interface Argument {
  /** In commander's notation: `<key>`, `[file]`, `<key…>` being written `<key...>`. */
  readonly name: string;
  readonly help: string;
}

export interface Option {
  /** In commander's notation: `--ttl <duration>`, `-c, --config <file>`, or `--json` for one without value. */
  readonly flags: string;
  readonly help: string;
  /** Whether it may be given more than once: its value is then a list, of one value, too. */
  readonly isRepeatable?: true;
}

/**
 * Declares a command. `schema` checks the options, whose names are those of the flags in camel case; a value is text as
 * it was given, and `true` for an option without value.
 */
export function defineCommand<Schema extends z.ZodType>(
  definition: Omit<CommandDefinition, 'run'> & {
    readonly schema: Schema;
    readonly run: (args: readonly string[], options: z.output<Schema>) => Promise<ExitCode>;
  },
): CommandDefinition {
  const { schema, run, ...rest } = definition;
  return {
    ...rest,
    async run(args, options) {
      const checked = schema.safeParse(options, { error: explainIssue });
      if (checked.success) return run(args, checked.data);
      const faults = problemsOf(checked.error).map(({ path, message }) =>
        path.length === 0 ? message : `--${kebabCase(String(path[0]))}: ${message}`,
      );
      throw new UsageError(faults.join('; '));
    },
  };
}

/** Runs the command that `argv` (without node and script) names, and gives the status to exit with. */
export async function runCommandLine(
  commands: readonly CommandDefinition[],
  about: { readonly summary: string; readonly version: string },
  argv: readonly string[],
): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok;
  const program = new Commander('lookaside').description(about.summary).version(about.version);
  program.enablePositionalOptions().exitOverride().addHelpText('after', `\n${EXIT_HELP}`);
  for (const definition of commands) {
    const command = program.command(definition.name).description(definition.summary);
    for (const { name, help } of definition.args) command.argument(name, help);
    for (const { flags, help, isRepeatable } of definition.options) {
      if (isRepeatable) command.option(flags, help, appended);
      else command.option(flags, help);
    }
    if (definition.passesOptionsOn) command.passThroughOptions();
    if (definition.details !== undefined) command.addHelpText('after', `\n${definition.details}`);
    command.addHelpText('after', `\n${EXIT_HELP}`);
    command.action(async () => {
      exitCode = await runOne(definition, command.args, command.opts());
    });
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // commander has said what is wrong
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
}

async function runOne(definition: CommandDefinition, args: readonly string[], options: unknown): Promise<ExitCode> {
  try {
    return await definition.run(args, options);
  } catch (error) {
    const exitCode = exitCodeOf(error);
    complain(`lookaside ${definition.name}: ${error instanceof Error ? error.message : String(error)}`);
    return exitCode;
  }
}

function appended(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** The flag of an option, without its dashes. */
export function kebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
