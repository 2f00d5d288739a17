import { useEffect } from 'preact/hooks';
import { baseInfo } from '../state/engine.js';
import { openData, refreshRuns, report } from '../state/training.js';
import { words } from '../text/index.js';
import { DropZone } from '../ui/drop-zone.js';
import { DataPanel } from './data-panel.js';
import { OptionsPanel } from './options-panel.js';
import { RunList } from './run-list.js';
import { RunPanel } from './run-panel.js';

async function openExample(): Promise<void> {
  const response = await fetch(new URL('data/personalities/stories.jsonl', document.baseURI));
  await openData('stories.jsonl', await response.blob());
}

export function TrainView() {
  const { train } = words.value;
  const base = baseInfo.value?.name;
  useEffect(() => void refreshRuns(), [base]);
  return (
    <div class="stack">
      <DropZone
        title={train.drop}
        help={train.dropHelp}
        fileLabel={train.choose}
        accept=".jsonl,.json,.txt"
        testId="drop-data"
        onPick={({ files: [[name, file]] }) => openData(name, file)}
      >
        <button type="button" onClick={openExample} disabled={!base}>
          {train.example}
        </button>
      </DropZone>
      {report.value && <DataPanel report={report.value} />}
      {report.value && report.value.errors.length === 0 && <OptionsPanel />}
      <RunPanel />
      <RunList />
    </div>
  );
}
