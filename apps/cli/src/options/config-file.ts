import { parseJson, QLoraError } from '@qlorajs/errors';
import { nearest, type OptionTable } from '@qlorajs/session';
import { parse as parseYaml } from 'yaml';
import { readText } from '../io/read.js';

function parse(source: string, file: string): unknown {
  try {
    // YAML would read {"a": } as null; a file called .json has to be JSON.
    return file.toLowerCase().endsWith('.json') ? parseJson(source) : parseYaml(source);
  } catch (cause) {
    throw new QLoraError('CONFIG_SYNTAX', `${file}: ${(cause as Error).message.trim()}`, {
      details: { file },
      cause,
    });
  }
}

/**
 * Options from a YAML or JSON file, by their names in the table. A null counts as left out.
 * @throws QLoraError `CONFIG_KEY` for a key that the verb does not know, naming the nearest it does
 */
export async function readConfigFile(
  file: string,
  table: OptionTable,
): Promise<ReadonlyMap<string, unknown>> {
  const value = parse(await readText(file), file) ?? {};
  if (typeof value !== 'object' || Array.isArray(value))
    throw new QLoraError('CONFIG_SYNTAX', `${file} must hold options, one "name: value" a line`, {
      details: { file },
    });
  const known = Object.keys(table);
  const options = new Map<string, unknown>();
  for (const [written, each] of Object.entries(value)) {
    const key = written.replaceAll('-', '_');
    if (!known.includes(key)) {
      const guess = nearest(key, known);
      throw new QLoraError(
        'CONFIG_KEY',
        `${file}: unknown key "${written}"; the nearest option is "${guess}"`,
        { details: { file, key: written, nearest: guess } },
      );
    }
    if (each !== null) options.set(key, each);
  }
  return options;
}
