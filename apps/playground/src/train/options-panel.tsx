import type { RunOptions } from '../protocol.js';
import { baseInfo, engineInfo } from '../state/engine.js';
import { isActive, makePlan, options, plan, setOption, startRun } from '../state/training.js';
import { formatBytes, formatDuration, words } from '../text/index.js';
import { NumberField, SelectField, TextField } from '../ui/field.js';

type NumericOption = {
  [K in keyof RunOptions]-?: number extends RunOptions[K] ? K : never;
}[keyof RunOptions];

/** A number of the run, by its name here and in the ecosystem. */
function Numeric(props: {
  option: NumericOption;
  name: keyof ReturnType<typeof labels>;
  min: number;
  max?: number;
  step?: number | 'any';
  optional?: boolean;
}) {
  const { option, name, min, max, step = 1, optional } = props;
  const value = options.value[option] as number | undefined;
  return (
    <NumberField
      label={labels()[name]}
      {...{ name, min, max, step, value }}
      onChange={(given) => {
        if (given === undefined && !optional) return;
        setOption(option, given as never);
      }}
    />
  );
}

const labels = () => words.value.options;
const same = <T extends string>(...values: T[]) => values.map((each) => [each, each] as const);

function Advanced() {
  const now = options.value;
  return (
    <details>
      <summary>{words.value.train.advanced}</summary>
      <div class="grid">
        <Numeric option="loraAlpha" name="lora_alpha" min={1} />
        <Numeric option="loraDropout" name="lora_dropout" min={0} max={0.9} step={0.05} />
        <Numeric option="gradientAccumulationSteps" name="gradient_accumulation_steps" min={1} />
        <Numeric option="maxSteps" name="max_steps" min={-1} />
        <SelectField
          label={labels().lr_scheduler_type}
          name="lr_scheduler_type"
          value={now.lrSchedulerType}
          choices={same('linear', 'cosine', 'constant')}
          onChange={(value) => setOption('lrSchedulerType', value)}
        />
        <Numeric option="warmupRatio" name="warmup_ratio" min={0} max={1} step={0.01} />
        <Numeric option="maxSeqLength" name="max_seq_length" min={2} optional />
        <SelectField
          label={labels().truncation}
          name="truncation"
          value={now.truncation}
          choices={same('error', 'drop', 'truncate')}
          onChange={(value) => setOption('truncation', value)}
        />
        <SelectField
          label={labels().train_on}
          name="train_on"
          value={now.trainOn}
          choices={same('assistant', 'all')}
          onChange={(value) => setOption('trainOn', value)}
        />
        <Numeric option="evalSplit" name="eval_split" min={0} max={0.9} step={0.05} optional />
        <Numeric option="evalSteps" name="eval_steps" min={0} />
        <Numeric option="earlyStoppingPatience" name="early_stopping_patience" min={0} />
        <SelectField
          label={labels().optim}
          name="optim"
          value={now.optim}
          choices={same('adamw', 'paged_adamw_32bit', 'paged_adamw_8bit')}
          onChange={(value) => setOption('optim', value)}
        />
        <Numeric option="seed" name="seed" min={0} />
        <Numeric option="saveSteps" name="save_steps" min={1} />
        <Numeric option="sampleSteps" name="sample_steps" min={0} />
        <TextField
          label={labels().sample_prompt}
          value={now.samplePrompt}
          onChange={(value) => setOption('samplePrompt', value)}
        />
      </div>
    </details>
  );
}

/** The adapter's own limits, where it tells them, by their names in WebGPU. */
function limits(): string {
  const { maxBufferBytes, maxBindingBytes, maxCells } = engineInfo.value?.info ?? {};
  return [
    ...(maxBufferBytes ? [`maxBufferSize ${formatBytes(Number(maxBufferBytes))}`] : []),
    ...(maxBindingBytes
      ? [`maxStorageBufferBindingSize ${formatBytes(Number(maxBindingBytes))}`]
      : []),
    ...(maxCells ? [`maxCells ${Number(maxCells)}`] : []),
  ].join(' · ');
}

/** A change by the labels of its options, with their new values. */
function changeText(change: Partial<RunOptions>): string {
  const named = words.value.changes as Readonly<Record<string, string>>;
  return Object.entries(change)
    .map(([key, value]) => (value === true ? named[key] : `${named[key]}: ${value}`))
    .join(', ');
}

function Plan() {
  const { train } = words.value;
  const found = plan.value;
  if (!found) return null;
  const { peakBytes, budgetBytes, fits, parts, steps, seconds, changes } = found;
  return (
    <div role="status" data-testid="plan">
      <p>
        {train.peak(formatBytes(peakBytes))}
        {budgetBytes !== null && ` ${train.budget(formatBytes(budgetBytes))}`}.{' '}
        <strong>{fits ? train.fits : train.fitsNot}</strong>{' '}
        {train.about(formatDuration(seconds), steps)}.
      </p>
      <small class="muted" translate={false}>
        {limits()}
      </small>
      <table>
        <tbody>
          {Object.entries(parts).map(([part, bytes]) => (
            <tr key={part}>
              <th scope="row">{words.value.parts[part] ?? part}</th>
              <td>{formatBytes(bytes)}</td>
              <td class="wide">
                <meter
                  min={0}
                  max={peakBytes}
                  value={bytes}
                  aria-label={words.value.parts[part] ?? part}
                />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {changes.length > 0 && (
        <>
          <p>{train.toFit}</p>
          <ul>
            {changes.map(({ text, options: change }) => (
              <li key={text}>
                <button
                  type="button"
                  onClick={() => {
                    options.value = { ...options.value, ...change };
                    void makePlan();
                  }}
                >
                  {changeText(change)}
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

export function OptionsPanel() {
  const { train } = words.value;
  return (
    <form
      class="card"
      aria-label={train.options}
      onSubmit={(event) => {
        event.preventDefault();
        void startRun();
      }}
    >
      <h2>{train.options}</h2>
      <div class="grid">
        <TextField
          label={train.name}
          value={options.value.out}
          onChange={(value) => setOption('out', value.replaceAll(/[^\p{L}\p{N}_.-]+/gu, '-'))}
        />
        <Numeric option="numTrainEpochs" name="num_train_epochs" min={0.1} step="any" />
        <Numeric option="learningRate" name="learning_rate" min={0} step="any" />
        <Numeric option="perDeviceTrainBatchSize" name="per_device_train_batch_size" min={1} />
        <Numeric option="r" name="r" min={1} max={256} />
      </div>
      <Advanced />
      <div class="row">
        <button type="button" onClick={makePlan} disabled={isActive.value}>
          {train.plan}: {train.planButton}
        </button>
        <button
          type="submit"
          class="primary"
          disabled={isActive.value || !baseInfo.value || options.value.out === ''}
        >
          {train.start}
        </button>
      </div>
      <Plan />
    </form>
  );
}
