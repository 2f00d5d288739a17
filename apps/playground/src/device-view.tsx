import { useEffect, useState } from 'preact/hooks';
import { BACKENDS, type StorageReport } from './protocol.js';
import { attempt, engine, engineInfo } from './state/engine.js';
import { explain } from './text/explain.js';
import { formatBytes, language, words } from './text/index.js';

const BYTES = /bytes|memoryLimit/i;

function shown(name: string, value: unknown): string {
  const { yes, no } = words.value.device;
  if (typeof value === 'boolean') return value ? yes : no;
  return typeof value === 'number' && BYTES.test(name) ? formatBytes(value) : String(value);
}

function Facts({ title, facts }: { title: string; facts: Readonly<Record<string, unknown>> }) {
  return (
    <section class="card" aria-label={title}>
      <h2>{title}</h2>
      <table>
        <tbody>
          {Object.entries(facts).map(([name, value]) => (
            <tr key={name}>
              <th scope="row">
                <code>{name}</code>
              </th>
              <td translate={typeof value === 'boolean'}>{shown(name, value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Engines() {
  const { device } = words.value;
  const info = engineInfo.value!;
  const tried = new Map(info.tried.map(({ name, refused }) => [name, refused]));
  const state = (name: string) => {
    const refused = tried.get(name);
    if (refused === undefined) return device.notTried;
    if (refused === null) return device.inUse;
    return (
      <>
        {explain(refused.code, {}, language.value)}
        <br />
        <small class="muted" lang="en">
          {refused.message}
        </small>
      </>
    );
  };
  return (
    <section class="card" aria-label={device.engine}>
      <h2>{device.engine}</h2>
      <p data-testid="engine" data-engine={info.name}>
        <strong>{info.name}</strong>: {device.why[info.name]}
        {info.isAsked && device.asked}
      </p>
      <h3>{device.tried}</h3>
      <ol>
        {['webgpu', 'wasm', 'wasm1', 'gpujs'].map((name) => (
          <li key={name}>
            <strong>{name}</strong>: {state(name)}
          </li>
        ))}
      </ol>
      <h3>{device.choose}</h3>
      <p class="row">
        {BACKENDS.map((name) => (
          <a class="chip" key={name} href={`?backend=${name}#device`}>
            {name}
          </a>
        ))}
      </p>
    </section>
  );
}

function Storage() {
  const { device, train } = words.value;
  const [storage, setStorage] = useState<StorageReport | null>(null);
  const refresh = async () => setStorage(await attempt(() => engine.storage()));
  useEffect(() => void refresh(), []);
  if (!storage) return null;
  return (
    <section class="card" aria-label={device.storage}>
      <h2>{device.storage}</h2>
      <p>{device.used(formatBytes(storage.usedBytes), formatBytes(storage.quotaBytes))}</p>
      <h3>{device.kept}</h3>
      {storage.kept.length === 0 && <p class="muted">{device.keptNone}</p>}
      <ul class="plain">
        {storage.kept.map(({ name, bytes }) => (
          <li class="run" key={name}>
            <span>
              {name}, {formatBytes(bytes)}
            </span>
            <button
              type="button"
              aria-label={`${train.remove} ${name}`}
              onClick={async () => {
                await attempt(() => engine.removeKept(name));
                await refresh();
              }}
            >
              {train.remove}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function DeviceView() {
  const { device } = words.value;
  const info = engineInfo.value;
  if (!info) return <p>{words.value.working}</p>;
  return (
    <div class="stack">
      <Engines />
      <Facts title={device.limits} facts={info.info} />
      <Facts title={device.features} facts={info.features} />
      <Storage />
    </div>
  );
}
