import { flagOf, type OptionSpec, type OptionTable, uiOptions } from '@qlorajs/session';
import { Command, Option } from 'commander';
import { resolveOptions } from './options/resolve.js';
import { createUi } from './report/ui.js';
import type { Verb } from './verbs/verb.js';

function defaultText({ default: value, required }: OptionSpec<unknown>): string {
  if (required) return ' (required)';
  if (value === undefined || value === false) return '';
  return ` (default: ${Array.isArray(value) ? value.join(',') : String(value)})`;
}

/** The flag of an option; a switch also gets its `--no-` form. */
function flagsOf(key: string, spec: OptionSpec<unknown>): Option[] {
  const { placeholder } = spec.type;
  const describe = spec.describe + defaultText(spec);
  if (spec.type.isSwitch)
    return [
      new Option(`${flagOf(key)} [${placeholder}]`, describe),
      new Option(`--no-${flagOf(key).slice(2)}`, spec.describe).hideHelp(),
    ];
  if (placeholder !== null) {
    const flag = new Option(`${flagOf(key)} <${placeholder}>`, describe);
    // Repeated flags become a list; the value types say whether they take one.
    flag.argParser((text, earlier: unknown) =>
      earlier === undefined ? text : [earlier, text].flat(),
    );
    return [flag];
  }
  return [
    new Option(flagOf(key), describe),
    new Option(`--no-${flagOf(key).slice(2)}`, spec.describe).hideHelp(spec.default !== true),
  ];
}

function addVerb(parent: Command, verb: Verb, done: (exitCode: number) => void): void {
  const command = parent.command(verb.name.split(' ').at(-1)!).description(verb.summary);
  if (verb.argument) {
    const { name, describe, optional } = verb.argument;
    command.argument(optional ? `[${name}]` : `<${name}>`, describe);
  }
  const table: OptionTable = { ...verb.options, ...uiOptions };
  const attributes = new Map<string, string>();
  for (const [key, spec] of Object.entries(table))
    for (const flag of flagsOf(key, spec)) {
      command.addOption(flag);
      attributes.set(key, flag.attributeName());
    }
  command.option('--config <FILE>', 'YAML or JSON file with the same options; flags win');
  command.action(async (...values: unknown[]) => {
    const given = command.opts();
    const flags = new Map<string, unknown>();
    for (const [key, attribute] of attributes)
      if (given[attribute] !== undefined) flags.set(key, given[attribute]);
    const options = await resolveOptions(table, flags, given.config);
    const argument = typeof values[0] === 'string' ? values[0] : '';
    const ui = createUi(options as unknown as Parameters<typeof createUi>[0]);
    done(await (verb as Verb<OptionTable>).run(options as never, ui, argument));
  });
}

/**
 * The command line as commander sees it.
 * @param done takes the exit code of the verb that ran
 */
export function createProgram(
  verbs: readonly Verb[],
  version: string,
  done: (exitCode: number) => void,
): Command {
  const program = new Command('qlora')
    .description('Fine-tune Microsoft Phi-2 with QLoRA, and talk to it')
    .version(version)
    .exitOverride()
    .showHelpAfterError('(--help lists what there is)');
  const groups = new Map<string, Command>();
  for (const verb of verbs) {
    const [first, second] = verb.name.split(' ');
    if (second !== undefined && !groups.has(first))
      groups.set(first, program.command(first).description('work on datasets'));
    addVerb(second === undefined ? program : groups.get(first)!, verb, done);
  }
  return program;
}
