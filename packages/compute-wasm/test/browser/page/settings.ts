import { settings } from '../../../../../tools/test/browser/page/settings.js';

/** What the suite is told about the host before it runs. */
export interface Settings {
  readonly threads: number;
  /** Whether the host must have shared memory: a page has it when it is cross-origin isolated. */
  readonly sharedMemory: boolean;
}

export const currentSettings = () => settings.current as Settings;
