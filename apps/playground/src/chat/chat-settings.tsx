import { useSignal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { addAdapter, settings } from '../state/chat.js';
import { engine, loadBase, planned, progress } from '../state/engine.js';
import { isActive } from '../state/training.js';
import { formatBytes, words } from '../text/index.js';
import { DropZone } from '../ui/drop-zone.js';
import { NumberField, TextField } from '../ui/field.js';

function Sampling() {
  const { chat } = words.value;
  const now = settings.value;
  const set = (change: Partial<typeof now>) => {
    settings.value = { ...now, ...change };
  };
  return (
    <details class="card">
      <summary>{chat.sampling}</summary>
      <TextField
        label={chat.system}
        help={chat.systemHelp}
        value={now.system ?? ''}
        onChange={(text) => set({ system: text === '' ? undefined : text })}
      />
      <div class="grid">
        <NumberField
          label={chat.temperature}
          name="temperature"
          min={0}
          max={2}
          step={0.1}
          value={now.temperature}
          onChange={(value = 0) => set({ temperature: value })}
        />
        <NumberField
          label={chat.topP}
          name="top_p"
          min={0.01}
          max={1}
          step={0.01}
          value={now.topP}
          onChange={(value = 1) => set({ topP: value })}
        />
        <NumberField
          label={chat.topK}
          name="top_k"
          min={0}
          step={1}
          value={now.topK}
          onChange={(value = 0) => set({ topK: value })}
        />
        <NumberField
          label={chat.penalty}
          name="repetition_penalty"
          min={0.1}
          step={0.05}
          value={now.repetitionPenalty}
          onChange={(value = 1) => set({ repetitionPenalty: value })}
        />
        <NumberField
          label={chat.maxTokens}
          name="max_new_tokens"
          min={1}
          step={1}
          value={now.maxNewTokens}
          onChange={(value = 160) => set({ maxNewTokens: value })}
        />
        <NumberField
          label={chat.seed}
          name="seed"
          min={0}
          step={1}
          value={now.seed}
          onChange={(value = 42) => set({ seed: value })}
        />
      </div>
    </details>
  );
}

/** What the base takes that is loaded, or about to be. */
function Takes() {
  const { chat } = words.value;
  if (!planned.value) return null;
  const { name, plan } = planned.value;
  const { weightBytes, peakBytes, budgetBytes } = plan;
  return (
    <p data-testid="takes">
      {chat.takes(name, formatBytes(weightBytes), formatBytes(peakBytes - weightBytes))}
      {budgetBytes !== null && chat.takesOf(formatBytes(budgetBytes))}.
    </p>
  );
}

function Model() {
  const { chat } = words.value;
  const [address, setAddress] = useState('microsoft/phi-2');
  const kept = useSignal<readonly { name: string }[]>([]);
  const isBusy = progress.value !== null || isActive.value;
  useEffect(() => {
    engine.storage().then(
      (storage) => {
        kept.value = storage.kept;
      },
      () => {},
    );
  }, [progress.value === null]);
  return (
    <details class="card">
      <summary>{chat.model}</summary>
      <p class="muted">{chat.modelHelp}</p>
      <Takes />
      <div class="row">
        <button type="button" disabled={isBusy} onClick={() => loadBase({ kind: 'phi-nano' })}>
          {chat.loadNano}
        </button>
        {kept.value.map(({ name }) => (
          <button
            type="button"
            key={name}
            disabled={isBusy}
            onClick={() => loadBase({ kind: 'kept', name })}
          >
            {chat.kept(name)}
          </button>
        ))}
      </div>
      <DropZone
        title={chat.loadFolder}
        help="config.json, tokenizer.json, model*.safetensors"
        fileLabel={chat.chooseFiles}
        folderLabel={chat.chooseFolder}
        testId="drop-model"
        multiple
        onPick={({ folder, files }) => loadBase({ kind: 'files', name: folder ?? 'model', files })}
      />
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          void loadBase({ kind: 'url', url: absolute(address) });
        }}
      >
        <TextField label={chat.hub} value={address} onChange={setAddress} />
        <button type="submit" disabled={isBusy}>
          {chat.loadUrl}
        </button>
      </form>
    </details>
  );
}

/** `./folder/` lies beside this page; a hub id or an address stays what it is. */
function absolute(address: string): string {
  return /^\.{0,2}\//.test(address) ? new URL(address, document.baseURI).href : address;
}

export function ChatSettings() {
  const { chat } = words.value;
  return (
    <aside class="side" aria-label={chat.sampling}>
      <DropZone
        title={chat.addAdapter}
        help={chat.adapterHelp}
        fileLabel={chat.chooseFiles}
        folderLabel={chat.chooseFolder}
        testId="drop-adapter"
        multiple
        onPick={({ folder, files }) => addAdapter(files, folder)}
      />
      <Sampling />
      <Model />
    </aside>
  );
}
