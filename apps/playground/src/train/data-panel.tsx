import type { DataReport } from '../protocol.js';
import { preview, showRow } from '../state/training.js';
import { explain } from '../text/explain.js';
import { format, language, words } from '../text/index.js';

const SHOWN = 20;

function BadRows({ errors }: Pick<DataReport, 'errors'>) {
  const { train } = words.value;
  return (
    <div class="bad" role="alert">
      <strong>{train.badRows(errors.length)}</strong>
      <ol class="plain" data-testid="bad-rows">
        {errors.slice(0, SHOWN).map(({ line, message, code, source }) => (
          <li key={`${line}-${message}`}>
            <strong>{train.line(line)}</strong> {explain(code, {}, language.value)}
            <br />
            <small lang="en">{message}</small>
            <pre class="source">{source}</pre>
          </li>
        ))}
      </ol>
      {errors.length > SHOWN && <p>{train.more(errors.length - SHOWN)}</p>}
    </div>
  );
}

function Viewer({ lines }: { lines: readonly number[] }) {
  const { train } = words.value;
  const shown = preview.value;
  if (!shown) return null;
  const at = lines.indexOf(shown.line);
  const go = (to: number) => void showRow(lines[to]);
  return (
    <section aria-label={train.viewer}>
      <h2>{train.viewer}</h2>
      <p class="muted">{train.viewerHelp}</p>
      <p>
        <span class="token trained">{train.trained}</span> <span class="token">{train.read}</span>
      </p>
      <div class="row pages">
        <button type="button" disabled={at <= 0} onClick={() => go(at - 1)}>
          {train.previous}
        </button>
        <span>
          {train.row} {at + 1} / {lines.length} · {words.value.inside.tokenCount(shown.tokens)} ·{' '}
          {train.trainedCount(shown.trained)}
        </span>
        <button type="button" disabled={at >= lines.length - 1} onClick={() => go(at + 1)}>
          {train.next}
        </button>
      </div>
      <pre class="marked" data-testid="viewer">
        {shown.segments.map(({ text, trained }, i) =>
          trained ? (
            <mark key={i} class="trained">
              {text}
            </mark>
          ) : (
            <span key={i}>{text}</span>
          ),
        )}
      </pre>
    </section>
  );
}

export function DataPanel({ report }: { report: DataReport }) {
  const { train } = words.value;
  return (
    <section class="card" aria-label={report.name}>
      <p data-testid="data-summary">
        <strong>{train.rows(report.rows, report.name)}</strong>
        {report.lines.length > 0 &&
          ` · ${train.tokens(format(report.tokens), format(report.trainedTokens))} · ${train.longest(report.longest, report.limit)}`}
      </p>
      {report.errors.length > 0 && <BadRows errors={report.errors} />}
      {report.lines.length > 0 && <Viewer lines={report.lines} />}
    </section>
  );
}
