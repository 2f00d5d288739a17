import { useSignal } from '@preact/signals';
import { engine } from '../state/engine.js';
import { evaluations, isActive, records, run, samples, secondsLeft } from '../state/training.js';
import { formatDuration, words } from '../text/index.js';
import { Chart } from '../ui/chart.js';

function Controls() {
  const { train } = words.value;
  const isPaused = run.value?.status === 'paused';
  return (
    <div class="row">
      {isPaused ? (
        <button type="button" class="primary" onClick={() => engine.resume()}>
          {train.resume}
        </button>
      ) : (
        <button type="button" onClick={() => engine.pause()}>
          {train.pause}
        </button>
      )}
      <button type="button" onClick={() => engine.cancel()}>
        {train.cancel}
      </button>
      {isPaused && <span class="muted">{train.pausedHelp}</span>}
    </div>
  );
}

function Curves() {
  const { train } = words.value;
  const all = records.value;
  const steps = all.map(({ step }) => step);
  const curve = (title: string, values: readonly number[]) => (
    <Chart key={title} {...{ title, steps, values }} />
  );
  return (
    <div class="curves">
      {curve(
        train.loss,
        all.map(({ loss }) => loss),
      )}
      {curve(
        train.rate,
        all.map(({ learning_rate }) => learning_rate),
      )}
      {curve(
        train.speed,
        all.map(({ tokens_per_second }) => tokens_per_second),
      )}
      {curve(
        train.memory,
        all.map(({ memory_bytes }) => memory_bytes / 1e6),
      )}
    </div>
  );
}

function Table() {
  const { train } = words.value;
  const isOpen = useSignal(false);
  return (
    <details
      onToggle={({ currentTarget }) => {
        isOpen.value = currentTarget.open;
      }}
    >
      <summary>{train.table}</summary>
      {isOpen.value && <Steps />}
    </details>
  );
}

function Steps() {
  const { train } = words.value;
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable with a keyboard */}
      <section class="scroll" tabIndex={0} aria-label={train.table}>
        <table>
          <thead>
            <tr>
              <th scope="col">{train.stepColumn}</th>
              <th scope="col">{train.loss}</th>
              <th scope="col">{train.rate}</th>
              <th scope="col">{train.speed}</th>
            </tr>
          </thead>
          <tbody>
            {records.value.map(({ step, loss, learning_rate, tokens_per_second }) => (
              <tr key={step}>
                <td>{step}</td>
                <td>{loss.toFixed(4)}</td>
                <td>{learning_rate.toExponential(2)}</td>
                <td>{tokens_per_second.toFixed(0)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </>
  );
}

/** The run under way, or the last one of this visit. */
export function RunPanel() {
  const { train } = words.value;
  const shown = run.value;
  if (!shown || records.value.length + Number(isActive.value) === 0) return null;
  const { step, totalSteps, status, name } = shown;
  const held = evaluations.value.at(-1)?.eval_loss;
  return (
    <section class="card" aria-label={name} data-testid="run" data-status={status} data-step={step}>
      <h2>
        {name} <span class={`badge ${status}`}>{train.status[status]}</span>
      </h2>
      <progress max={totalSteps || 1} value={step} aria-label={train.step(step, totalSteps)} />
      <p role="status">
        {train.step(step, totalSteps)}
        {secondsLeft.value !== null && ` · ${train.left(formatDuration(secondsLeft.value))}`}
        {held !== undefined && ` · ${train.evaluation(held.toFixed(4))}`}
      </p>
      {isActive.value && <Controls />}
      {records.value.length > 0 && <Curves />}
      {records.value.length > 0 && <Table />}
      {samples.value.length > 0 && (
        <section aria-label={train.samples}>
          <h3>{train.samples}</h3>
          <ol class="plain">
            {samples.value.map(({ step: at, text }) => (
              <li key={at}>
                <small class="muted">{train.sampleAt(at)}</small>
                <p translate={false}>{text}</p>
              </li>
            ))}
          </ol>
        </section>
      )}
    </section>
  );
}
