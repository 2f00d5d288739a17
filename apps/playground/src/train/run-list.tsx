import type { RunInfo } from '../protocol.js';
import { choose } from '../state/chat.js';
import { baseInfo } from '../state/engine.js';
import { tab } from '../state/tab.js';
import { download, goOn, isActive, removeRun, runs, useRun } from '../state/training.js';
import { language, words } from '../text/index.js';

async function chatWith(run: RunInfo): Promise<void> {
  const name = await useRun(run);
  if (name === null) return;
  choose(name);
  tab.value = 'chat';
}

function Row({ run }: { run: RunInfo }) {
  const { train } = words.value;
  const { id, name, status, step, totalSteps, savedStep, dataName, base, created } = run;
  const isFree = !isActive.value && baseInfo.value?.name === base;
  const canGoOn = status === 'interrupted' || status === 'cancelled' || status === 'failed';
  return (
    <li class="run" data-testid="stored-run" data-status={status}>
      <div>
        <strong>{name}</strong> <span class={`badge ${status}`}>{train.status[status]}</span>
        <br />
        <small class="muted">
          {base} · {dataName} · {new Date(created).toLocaleString(language.value)} ·{' '}
          {train.step(step, totalSteps)}
          {canGoOn && savedStep > 0 && `, ${train.savedAt(savedStep)}`}
        </small>
      </div>
      <div class="row">
        {canGoOn && (
          <button type="button" class="primary" disabled={!isFree} onClick={() => goOn(id)}>
            {train.goOn}
          </button>
        )}
        {status === 'done' && (
          <>
            <button
              type="button"
              class="primary"
              disabled={baseInfo.value?.name !== base}
              onClick={() => chatWith(run)}
            >
              {train.use}
            </button>
            <button type="button" onClick={() => download(run)}>
              {train.download}
            </button>
          </>
        )}
        <button
          type="button"
          disabled={status === 'running' || status === 'paused'}
          aria-label={`${train.remove} ${name}`}
          onClick={() => removeRun(id)}
        >
          {train.remove}
        </button>
      </div>
    </li>
  );
}

/** What was trained in this browser, and can go on or be used. */
export function RunList() {
  const { train } = words.value;
  return (
    <section class="card" aria-label={train.runs}>
      <h2>{train.runs}</h2>
      {runs.value.length === 0 && <p class="muted">{train.noRuns}</p>}
      <ul class="plain">
        {runs.value.map((run) => (
          <Row key={run.id} run={run} />
        ))}
      </ul>
    </section>
  );
}
