import { settings } from '../../../../../tools/test/browser/page/settings.js';
import type { GpuJsMode } from '../../../src/index.js';

/** What the suite is told before it runs. */
export interface Settings {
  readonly mode: GpuJsMode;
}

export const currentSettings = () => settings.current as Settings;
