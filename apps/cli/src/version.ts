import packageJson from '../package.json' with { type: 'json' };

/** Of the command. */
export const VERSION: string = packageJson.version;
