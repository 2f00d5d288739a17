import { useState } from 'preact/hooks';
import type { LoraLayerReport } from '../protocol.js';
import { attempt, engine, voices } from '../state/engine.js';
import { words } from '../text/index.js';
import { Bars } from '../ui/chart.js';
import { SelectField } from '../ui/field.js';

const short = (name: string) =>
  name.replace('model.layers.', '').replace('.self_attn', '').replace('.mlp', '');

export function LoraExplorer() {
  const { inside } = words.value;
  const [wanted, setWanted] = useState('');
  const [layers, setLayers] = useState<readonly LoraLayerReport[] | null>(null);
  const [at, setAt] = useState(0);
  const adapters = voices.value.filter(({ rank }) => rank !== null);
  const name = wanted || (adapters[0]?.name ?? '');
  const layer = layers?.[at];
  if (adapters.length === 0) return <p>{inside.none}</p>;
  return (
    <>
      <form
        class="row"
        onSubmit={async (event) => {
          event.preventDefault();
          setLayers(await attempt(() => engine.lora(name)));
          setAt(0);
        }}
      >
        <SelectField
          label={inside.voice}
          value={name}
          choices={adapters.map(({ name: each, rank }) => [each, `${each} (r ${rank})`])}
          onChange={(each) => {
            setWanted(each);
            setLayers(null);
          }}
        />
        <button type="submit">{inside.look}</button>
      </form>
      {layers && layer && (
        <div data-testid="lora">
          <Bars
            title={inside.norm}
            values={layers.map(({ norm }) => norm)}
            labels={layers.map((each) => short(each.name))}
          />
          <SelectField
            label={inside.layer}
            value={String(at)}
            choices={layers.map((each, i) => [
              String(i),
              `${short(each.name)}: ${each.norm.toPrecision(4)}`,
            ])}
            onChange={(value) => setAt(Number(value))}
          />
          <Bars
            title={`${inside.spectrum}, ${short(layer.name)}`}
            values={layer.spectrum}
            labels={layer.spectrum.map((_, i) => String(i + 1))}
          />
        </div>
      )}
    </>
  );
}
