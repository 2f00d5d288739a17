import { QLoraError } from '@qlorajs/errors';
import {
  camelCase,
  flagOf,
  type OptionSpec,
  type OptionsOf,
  type OptionTable,
} from '@qlorajs/session';
import { readConfigFile } from './config-file.js';

/**
 * Defaults, then the configuration file, then flags.
 * @param flags by snake-case name; only what was given
 * @throws QLoraError `OPTION_MISSING`, `OPTION_VALUE`, `CONFIG_KEY`
 */
export async function resolveOptions<T extends OptionTable>(
  table: T,
  flags: ReadonlyMap<string, unknown>,
  configFile: string | undefined,
): Promise<OptionsOf<T>> {
  const config = configFile === undefined ? new Map() : await readConfigFile(configFile, table);
  const values: Record<string, unknown> = {};
  for (const [key, spec] of Object.entries<OptionSpec<unknown>>(table)) {
    values[camelCase(key)] = flags.has(key)
      ? spec.type.parse(flags.get(key), flagOf(key))
      : config.has(key)
        ? spec.type.parse(config.get(key), `${configFile}: ${key}`)
        : defaultOf(key, spec);
  }
  return values as OptionsOf<T>;
}

function defaultOf(key: string, spec: OptionSpec<unknown>): unknown {
  if (!spec.required) return spec.default;
  throw new QLoraError(
    'OPTION_MISSING',
    `${flagOf(key)} ${spec.type.placeholder} is missing: ${spec.describe}`,
    { details: { option: key } },
  );
}
