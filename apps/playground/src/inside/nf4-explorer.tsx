import { useEffect, useState } from 'preact/hooks';
import type { Nf4Report } from '../protocol.js';
import { attempt, baseInfo, engine } from '../state/engine.js';
import { words } from '../text/index.js';
import { Bars, HeatMap } from '../ui/chart.js';
import { SelectField } from '../ui/field.js';

function Report({ report }: { report: Nf4Report }) {
  const { inside } = words.value;
  const { histogram, codes, errorMap, bitsPlain, bitsDouble } = report;
  const { from, to, counts } = histogram;
  const middle = (i: number) => from + ((i + 0.5) * (to - from)) / counts.length;
  return (
    <div data-testid="nf4">
      <div class="curves">
        <Bars
          title={inside.spread}
          values={counts}
          labels={counts.map((_, i) => middle(i).toPrecision(3))}
        />
        <Bars
          title={inside.usage}
          values={codes.map(({ count }) => count)}
          labels={codes.map(({ value }) => value.toFixed(4))}
        />
        <HeatMap title={inside.errorMap} {...errorMap} />
      </div>
      <p>{inside.errorMapText(report.meanError.toPrecision(3), report.maxError.toPrecision(3))}</p>
      <table>
        <thead>
          <tr>
            <th scope="col">{`${report.shape.join(' × ')}`}</th>
            <th scope="col">{inside.bits}</th>
            <th scope="col">{inside.meanError}</th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row">{inside.plain}</th>
            <td>{bitsPlain.toFixed(3)}</td>
            <td>{report.meanError.toPrecision(4)}</td>
          </tr>
          <tr>
            <th scope="row">{inside.double}</th>
            <td>{bitsDouble.toFixed(3)}</td>
            <td>{report.meanErrorDouble.toPrecision(4)}</td>
          </tr>
        </tbody>
      </table>
    </div>
  );
}

export function Nf4Explorer() {
  const { inside } = words.value;
  const [names, setNames] = useState<readonly string[]>([]);
  const [name, setName] = useState('');
  const [report, setReport] = useState<Nf4Report | null>(null);
  const base = baseInfo.value?.name;
  useEffect(() => {
    if (base === undefined) return;
    setReport(null);
    void attempt(() => engine.matrices()).then((found) => {
      setNames(found ?? []);
      setName(found?.[0] ?? '');
    });
  }, [base]);
  return (
    <>
      <form
        class="row"
        onSubmit={async (event) => {
          event.preventDefault();
          setReport(await attempt(() => engine.nf4(name)));
        }}
      >
        <SelectField
          label={inside.matrix}
          value={name}
          choices={names.map((each) => [each, each.replace('model.layers.', '')])}
          onChange={setName}
        />
        <button type="submit" disabled={name === ''}>
          {inside.look}
        </button>
      </form>
      {report && <Report report={report} />}
    </>
  );
}
