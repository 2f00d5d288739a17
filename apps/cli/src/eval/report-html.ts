import { keepsFormat } from './format-score.js';
import type { AnswerRecord, VoiceRecord } from './records.js';
import type { VoiceSummary } from './summary.js';
import { tableRows } from './table.js';

/** What the head of a report says. */
export interface ReportHead {
  readonly title: string;
  /** A line each: data, base, how answers were made, intervals, date. */
  readonly facts: readonly string[];
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c1f24; --page: #fff; --faint: #667; --line: #d8dce2; --card: #f5f6f8; --good: #0a7d43; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --page: #14171a; --faint: #9aa3ad; --line: #333a42; --card: #1d2126; --good: #5fd394; --bad: #ff8a80; } }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1rem 4rem; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
.facts { color: var(--faint); font-size: .9rem; margin: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .6rem 0; } summary { cursor: pointer; padding: .5rem .8rem; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: .8rem; padding: 0 .8rem .8rem; }
.answer { background: var(--card); border-radius: 6px; padding: .6rem .8rem; min-width: 0; }
.answer h3 { font-size: .85rem; margin: 0 0 .3rem; color: var(--faint); }
.answer pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: .85rem/1.45 ui-monospace, monospace; }
.marks { font-size: .8rem; margin: .4rem 0 0; } .good { color: var(--good); } .bad { color: var(--bad); }
`;

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function table(rows: readonly (readonly string[])[]): string {
  const [head, ...body] = rows;
  const cells = (row: readonly string[], tag: string, scope: string) =>
    row
      .map((cell, i) =>
        tag === 'th' || i > 0
          ? `<${tag}${tag === 'th' ? ` scope="${scope}"` : ''}>${escapeHtml(cell)}</${tag}>`
          : `<th scope="row">${escapeHtml(cell)}</th>`,
      )
      .join('');
  return `<div class="wide"><table><thead><tr>${cells(head, 'th', 'col')}</tr></thead><tbody>${body
    .map((row) => `<tr>${cells(row, 'td', 'row')}</tr>`)
    .join('')}</tbody></table></div>`;
}

function groupTable(voices: readonly VoiceSummary[], by: 'by_language' | 'by_topic'): string {
  const groups = Object.keys(voices[0][by]);
  if (groups.length < 2) return '';
  const share = (value: number | null | undefined) =>
    typeof value === 'number' ? `${(100 * value).toFixed(0)} %` : '—';
  const cell = (figures: Readonly<Record<string, number | null>> | undefined) =>
    `${figures?.perplexity?.toFixed(1) ?? '—'} · ${share(figures?.stop_rate)} · ${share(figures?.format_score)} · ${share(figures?.keyword_recall)}`;
  return table([
    [by === 'by_language' ? 'language' : 'topic', 'rows', ...voices.map(({ name }) => name)],
    ...groups.map((group) => [
      group,
      String(voices[0][by][group].chats),
      ...voices.map((voice) => cell(voice[by][group])),
    ]),
  ]);
}

function marks(answer: AnswerRecord): string {
  const mark = (good: boolean, text: string) =>
    `<span class="${good ? 'good' : 'bad'}">${good ? '✓' : '✗'} ${text}</span>`;
  const parts = [
    mark(answer.finish_reason === 'stop', answer.finish_reason === 'stop' ? 'stops' : 'cut off'),
    mark(keepsFormat(answer), 'format'),
    mark(!answer.degenerate, 'no loop'),
    ...(answer.code ?? []).map(({ ran, language }) => mark(ran, `${language} runs`)),
  ];
  return `<p class="marks">${parts.join(' ')}</p>`;
}

function answerCard(name: string, text: string, below: string): string {
  return `<div class="answer"><h3>${escapeHtml(name)}</h3><pre>${escapeHtml(text)}</pre>${below}</div>`;
}

/** The answers of every voice to the same questions, beside the reference. */
function examples(voices: readonly VoiceRecord[], most: number): string {
  const asked = voices[0].chats.filter(({ answers }) => answers.length > 0);
  const step = Math.max(1, Math.floor(asked.length / most));
  return asked
    .filter((_, i) => i % step === 0)
    .slice(0, most)
    .map(({ id, answers: [first] }, i) => {
      const cards = voices.flatMap(({ name, chats }) => {
        const answer = chats.find((chat) => chat.id === id)?.answers[0];
        return answer ? [answerCard(name, answer.answer, marks(answer))] : [];
      });
      return `<details${i < 3 ? ' open' : ''}><summary>${escapeHtml(first.question)} <small>(${escapeHtml(id)})</small></summary><div class="answers">${answerCard('reference', first.reference, '')}${cards.join('')}</div></details>`;
    })
    .join('\n');
}

/** The report: one page with all it needs in it, for light and dark screens. */
export function reportHtml(
  { title, facts }: ReportHead,
  summaries: readonly VoiceSummary[],
  records: readonly VoiceRecord[],
): string {
  const head = ['', ...summaries.map(({ name }) => name)];
  const groups = [groupTable(summaries, 'by_language'), groupTable(summaries, 'by_topic')].join('');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${facts.map((fact) => `<p class="facts">${escapeHtml(fact)}</p>`).join('\n')}
<h2>Figures</h2>
${table([head, ...tableRows(summaries)])}
${groups === '' ? '' : `<h2>By language and topic</h2>\n<p class="facts">perplexity · stops · keeps the format · keyword recall</p>\n${groups}`}
<h2>Answers</h2>
${examples(records, 40)}
</body>
</html>
`;
}
