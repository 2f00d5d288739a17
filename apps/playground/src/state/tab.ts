import { effect, signal } from '@preact/signals';

export const TABS = ['chat', 'train', 'inside', 'device'] as const;
export type Tab = (typeof TABS)[number];

const fromHash = (): Tab => TABS.find((each) => `#${each}` === location.hash) ?? 'chat';

/** The page that is shown; the address names it. */
export const tab = signal<Tab>(fromHash());

window.addEventListener('hashchange', () => {
  tab.value = fromHash();
});
effect(() => {
  if (fromHash() !== tab.value) history.replaceState(null, '', `#${tab.value}`);
});
