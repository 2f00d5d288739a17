import { effect, signal } from '@preact/signals';
import { ChatView } from './chat/chat-view.js';
import { DeviceView } from './device-view.js';
import {
  baseInfo,
  dismiss,
  engine,
  engineInfo,
  isStoppable,
  notices,
  progress,
  voices,
} from './state/engine.js';
import { TABS, type Tab, tab } from './state/tab.js';
import { formatBytes, language, type Theme, theme, words } from './text/index.js';

function Notices() {
  const { errors, close } = words.value;
  return (
    <div class="notices">
      {notices.value.map(({ id, kind, text, detail }) => (
        <div key={id} class={`notice ${kind}`} role={kind === 'error' ? 'alert' : 'status'}>
          <div>
            {kind === 'error' && <strong>{errors.title}. </strong>}
            {text()}
            {detail && (
              <details>
                <summary>{errors.detail}</summary>
                <small lang="en">{detail}</small>
              </details>
            )}
          </div>
          <button type="button" aria-label={close} onClick={() => dismiss(id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}

function Status() {
  const { loadingEngine, fetching, downloading, downloaded, loading, ready } = words.value;
  const { stopLoading, noModel } = words.value;
  const now = progress.value;
  const base = baseInfo.value;
  if (now) {
    const text = { fetching, downloading, loading, engine: loadingEngine }[now.what] ?? loading;
    const bytes = now.total && downloaded(formatBytes(now.done ?? 0), formatBytes(now.total));
    return (
      <div class="status">
        <p role="status" data-testid="loading">
          {bytes || text} <progress max={1} value={now.share} aria-label={text} />
        </p>
        {isStoppable.value && (
          <button type="button" onClick={() => engine.stopLoading()}>
            {stopLoading}
          </button>
        )}
      </div>
    );
  }
  if (!base)
    return (
      <p class="status" role="status">
        {engineInfo.value && noModel}
      </p>
    );
  return (
    <p class="status" role="status" data-testid="ready" data-voices={voices.value.length}>
      {ready(base.name, formatBytes(base.bytes), engineInfo.value?.name ?? '')}
    </p>
  );
}

function Tabs() {
  const move = (event: KeyboardEvent, at: number) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = TABS[(at + step + TABS.length) % TABS.length];
    tab.value = next;
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <div role="tablist" aria-label={words.value.title} class="tabs">
      {TABS.map((each, at) => (
        <button
          key={each}
          type="button"
          role="tab"
          id={`tab-${each}`}
          aria-selected={tab.value === each}
          aria-controls="panel"
          tabIndex={tab.value === each ? 0 : -1}
          onClick={() => {
            tab.value = each;
          }}
          onKeyDown={(event) => move(event, at)}
        >
          {words.value.tabs[each]}
        </button>
      ))}
    </div>
  );
}

type View = () => preact.JSX.Element | null;

/** Views that come when they are first shown: a visit may do without their curves. */
const LATER: Readonly<Partial<Record<Tab, () => Promise<View>>>> = {
  train: () => import('./train/train-view.js').then(({ TrainView }) => TrainView),
  inside: () => import('./inside/inside-view.js').then(({ InsideView }) => InsideView),
};

const views = signal<Readonly<Partial<Record<Tab, View>>>>({ chat: ChatView, device: DeviceView });

effect(() => {
  const wanted = tab.value;
  if (views.value[wanted]) return;
  LATER[wanted]?.().then((view) => {
    views.value = { ...views.value, [wanted]: view };
  });
});

function Preferences() {
  const { language: label, theme: themeLabel, themes } = words.value;
  return (
    <div class="row preferences">
      <select
        aria-label={label}
        value={language.value}
        onChange={({ currentTarget }) => {
          language.value = currentTarget.value === 'es' ? 'es' : 'en';
        }}
      >
        <option value="en" lang="en">
          English
        </option>
        <option value="es" lang="es">
          Español
        </option>
      </select>
      <select
        aria-label={themeLabel}
        value={theme.value}
        onChange={({ currentTarget }) => {
          theme.value = currentTarget.value as Theme;
        }}
      >
        {(['system', 'light', 'dark'] as const).map((each) => (
          <option key={each} value={each}>
            {themes[each]}
          </option>
        ))}
      </select>
    </div>
  );
}

export function App() {
  const { title, tagline, skip } = words.value;
  const View = views.value[tab.value];
  return (
    <>
      <a class="skip" href="#panel">
        {skip}
      </a>
      <header>
        <div>
          <h1>{title}</h1>
          <p class="muted">{tagline}</p>
        </div>
        <Preferences />
      </header>
      <nav>
        <Tabs />
        <Status />
      </nav>
      <Notices />
      <main>
        <div id="panel" role="tabpanel" aria-labelledby={`tab-${tab.value}`} tabIndex={-1}>
          {View ? <View /> : <p role="status">{words.value.working}</p>}
        </div>
      </main>
    </>
  );
}
