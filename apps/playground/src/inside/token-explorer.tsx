import { useEffect, useState } from 'preact/hooks';
import type { Rendered } from '../protocol.js';
import { voice } from '../state/chat.js';
import { attempt, engine } from '../state/engine.js';
import { words } from '../text/index.js';
import { TextField } from '../ui/field.js';

export function TokenExplorer() {
  const { inside } = words.value;
  const [question, setQuestion] = useState('¿Qué es una cola?');
  const [answer, setAnswer] = useState('Primero en entrar, primero en salir.');
  const [shown, setShown] = useState<Rendered | null>(null);
  const name = voice.value;
  useEffect(() => {
    if (name === '') return;
    let isCurrent = true;
    const messages = [
      { role: 'user', content: question },
      ...(answer === '' ? [] : [{ role: 'assistant', content: answer }]),
    ];
    const timer = setTimeout(async () => {
      const rendered = await attempt(() => engine.render(name, messages));
      if (isCurrent && rendered) setShown(rendered);
    }, 150);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [name, question, answer]);
  return (
    <>
      <div class="grid wide">
        <TextField label={inside.you} value={question} onChange={setQuestion} />
        <TextField label={inside.answer} value={answer} onChange={setAnswer} />
      </div>
      {shown && (
        <>
          <p class="muted">{inside.tokenCount(shown.pieces.length)}</p>
          <p class="tokens" data-testid="tokens">
            {shown.pieces.map(({ id, text, special, trained }, i) => (
              <span
                key={i}
                class={`token${special ? ' special' : ''}${trained ? ' trained' : ''}`}
                title={`${id}`}
              >
                {text.replaceAll('\n', '⏎').replaceAll(' ', '·')}
                <sub>{id}</sub>
              </span>
            ))}
          </p>
          <details>
            <summary>{inside.template}</summary>
            <pre>{shown.template}</pre>
          </details>
          <details>
            <summary>{inside.rendered}</summary>
            <pre>{shown.text}</pre>
          </details>
        </>
      )}
    </>
  );
}
