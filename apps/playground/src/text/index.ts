import { computed, effect, signal } from '@preact/signals';
import { en, type Words } from './en.js';
import { es } from './es.js';

export type Language = 'en' | 'es';

const stored = (key: string) => {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
};

const store = (key: string, value: string) => {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Site data may be blocked; the choice then holds for this visit.
  }
};

function firstLanguage(): Language {
  const kept = stored('language');
  if (kept === 'en' || kept === 'es') return kept;
  return navigator.language.startsWith('es') ? 'es' : 'en';
}

export const language = signal<Language>(firstLanguage());
/** The page's words in the language of the reader. */
export const words = computed<Words>(() => (language.value === 'es' ? es : en));

export type Theme = 'system' | 'light' | 'dark';
const keptTheme = stored('theme');
export const theme = signal<Theme>(
  keptTheme === 'light' || keptTheme === 'dark' ? keptTheme : 'system',
);

const system = matchMedia('(prefers-color-scheme: dark)');
const isSystemDark = signal(system.matches);
system.addEventListener('change', ({ matches }) => {
  isSystemDark.value = matches;
});
/** What the theme comes to. */
export const isDark = computed(() =>
  theme.value === 'system' ? isSystemDark.value : theme.value === 'dark',
);

effect(() => {
  document.documentElement.lang = language.value;
  store('language', language.value);
});
effect(() => {
  document.documentElement.dataset.theme = theme.value;
  store('theme', theme.value);
});

/** A number as the reader's language writes it. */
export function format(value: number, digits = 0): string {
  return value.toLocaleString(language.value, { maximumFractionDigits: digits });
}

export { formatBytes, formatDuration } from '@qlorajs/session';
