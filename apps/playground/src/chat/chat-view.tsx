import { useEffect, useRef, useState } from 'preact/hooks';
import {
  answering,
  ask,
  choose,
  clearChat,
  type Exchange,
  exchanges,
  versus,
  voice,
} from '../state/chat.js';
import { engine, voices } from '../state/engine.js';
import { isActive, run } from '../state/training.js';
import { format, words } from '../text/index.js';
import { SelectField } from '../ui/field.js';
import { ChatSettings } from './chat-settings.js';

const QUESTIONS: Readonly<Record<string, readonly string[]>> = {
  tutor: ['¿Qué es una cola?', '¿Para qué sirve una tabla hash?', '¿Qué es la recursión?'],
  sql: ['¿Cómo cuento los productos?', '¿Cómo ordeno las ventas por fecha?'],
  stories: ['Cuéntame un cuento sobre una luna.', 'Cuéntame un cuento sobre un perro.'],
};

function remark(reason: string): string | null {
  const { chat } = words.value;
  if (reason === 'length') return chat.cut;
  if (reason === 'context') return chat.contextFull;
  return reason === 'aborted' ? chat.stopped : null;
}

function Bubble({ exchange }: { exchange: Exchange }) {
  const { chat } = words.value;
  return (
    <li class="exchange">
      <div class="bubble mine">
        <span class="who">{chat.you}</span>
        <p>{exchange.question}</p>
      </div>
      <div class={exchange.answers.length > 1 ? 'sides' : ''}>
        {exchange.answers.map(({ voice: name, text, said }) => (
          <div class="bubble" key={name} data-testid="answer" data-done={said !== null}>
            <span class="who" translate={false}>
              {name}
            </span>
            <p>{text || (said === null ? '…' : '')}</p>
            {said && (
              <small class="muted">
                {chat.speed(said.tokens, format(said.tokensPerSecond, 1))}
                {said.forgotten > 0 && ` · ${chat.forgotten(said.forgotten)}`}
                {remark(said.reason) && ` · ${remark(said.reason)}`}
              </small>
            )}
          </div>
        ))}
      </div>
    </li>
  );
}

function Suggestions() {
  const questions = QUESTIONS[voice.value] ?? QUESTIONS.tutor;
  return (
    <div class="empty">
      <p>{words.value.chat.empty}</p>
      <p class="muted">{words.value.chat.suggestions}</p>
      <div class="row">
        {questions.map((each) => (
          <button type="button" class="chip" lang="es" key={each} onClick={() => ask(each)}>
            {each}
          </button>
        ))}
      </div>
    </div>
  );
}

function Composer() {
  const { chat } = words.value;
  const [text, setText] = useState('');
  const send = () => {
    const question = text;
    setText('');
    void ask(question);
  };
  const isBusy = isActive.value && run.value?.status === 'running';
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        rows={2}
        value={text}
        aria-label={chat.message}
        placeholder={chat.placeholder}
        onInput={({ currentTarget }) => setText(currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          send();
        }}
      />
      {answering.value ? (
        <button type="button" class="primary" onClick={() => engine.stop()}>
          {chat.stop}
        </button>
      ) : (
        <button type="submit" class="primary" disabled={voices.value.length === 0 || isBusy}>
          {chat.send}
        </button>
      )}
    </form>
  );
}

export function ChatView() {
  const { chat } = words.value;
  const end = useRef<HTMLDivElement>(null);
  const length = exchanges.value.at(-1)?.answers.reduce((sum, { text }) => sum + text.length, 0);
  useEffect(() => end.current?.scrollIntoView({ block: 'nearest' }), [length]);
  const names = voices.value.map(
    ({ name, rank }) => [name, rank === null ? `${name} (${chat.base})` : name] as const,
  );
  return (
    <div class="columns">
      <section class="card chat" aria-label={words.value.tabs.chat}>
        <div class="row controls">
          <SelectField label={chat.voice} value={voice.value} choices={names} onChange={choose} />
          <SelectField
            label={chat.versus}
            value={versus.value}
            choices={[['', chat.nobody], ...names.filter(([name]) => name !== voice.value)]}
            onChange={(name) => {
              versus.value = name;
            }}
          />
          <button type="button" onClick={clearChat} disabled={exchanges.value.length === 0}>
            {chat.clear}
          </button>
        </div>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable with a keyboard */}
        <div class="log" role="log" aria-live="polite" aria-busy={answering.value} tabIndex={0}>
          {exchanges.value.length === 0 && <Suggestions />}
          <ol>
            {exchanges.value.map((exchange, i) => (
              <Bubble exchange={exchange} key={i} />
            ))}
          </ol>
          <div ref={end} />
        </div>
        <Composer />
      </section>
      <ChatSettings />
    </div>
  );
}
