// npm run docs:figures: draws the figures of docs/concepts.md as SVG, from the packages' own numbers.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const load = (name) => import(pathToFileURL(join(root, 'packages', name, 'dist/index.js')).href);
const { NF4_CODE } = await load('quant-nf4');

const INK = '#1f2430';
const SOFT = '#8a94a6';
const COLOURS = ['#4464ad', '#d1495b', '#2a9d8f', '#e9a03b', '#8d6cab'];

const text = (x, y, words, { size = 13, anchor = 'middle', fill = INK } = {}) =>
  `<text x="${x}" y="${y}" font-size="${size}" text-anchor="${anchor}" fill="${fill}">${words}</text>`;
const box = (x, y, width, height, fill, words = '', ink = '#fff') =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="4" fill="${fill}"/>${words === '' ? '' : text(x + width / 2, y + height / 2 + 4.5, words, { fill: ink })}`;
const line = (x1, y1, x2, y2, colour = SOFT, width = 1.5) =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${colour}" stroke-width="${width}"/>`;
const arrow = (x1, y1, x2, y2, colour = INK) =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${colour}" stroke-width="1.5" marker-end="url(#tip)"/>`;

function figure(name, width, height, title, parts) {
  const tip = `<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="${INK}"/></marker></defs>`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" role="img"><title>${title}</title>${tip}<rect width="${width}" height="${height}" fill="#fff"/>${parts.join('\n')}</svg>\n`;
  writeFileSync(join(root, 'docs/images', `${name}.svg`), svg);
}

/** The bell of weights with the 16 values that NF4 has for them. */
function nf4() {
  const [left, right, base, top] = [40, 640, 190, 30];
  const x = (value) => left + ((value + 1) / 2) * (right - left);
  const bell = (value) => Math.exp(-((value / 0.42) ** 2) / 2);
  const points = Array.from({ length: 121 }, (_, i) => -1 + i / 60);
  const path = points.map(
    (v) => `${x(v).toFixed(1)},${(base - bell(v) * (base - top)).toFixed(1)}`,
  );
  const codes = Array.from(NF4_CODE, (value, code) => [
    line(
      x(value).toFixed(1),
      base,
      x(value).toFixed(1),
      (base - bell(value) * (base - top)).toFixed(1),
      COLOURS[0],
      2,
    ),
    text(x(value).toFixed(1), base + (code % 2 ? 34 : 18), String(code), { size: 12 }),
  ]).flat();
  figure('nf4', 680, 250, 'The 16 values of NF4 under the bell of weights', [
    `<polyline points="${path.join(' ')}" fill="none" stroke="${SOFT}" stroke-width="2"/>`,
    line(left, base, right, base),
    ...codes,
    text(340, 243, 'code of a weight, at its value over the largest of its block of 64', {
      size: 12,
      fill: SOFT,
    }),
  ]);
}

/** Bits of a weight, without and with double quantization. */
function doubleQuantization() {
  const unit = 130;
  const rows = [
    [
      'NF4',
      [
        ['4 bits: code', 4],
        ['0.5: f32 scale of 64', 0.5],
      ],
    ],
    [
      '+ double',
      [
        ['4 bits: code', 4],
        ['0.127', 8 / 64 + 32 / (64 * 256)],
      ],
    ],
  ];
  const parts = rows.flatMap(([name, pieces], row) => {
    let x = 90;
    const y = 24 + row * 62;
    const drawn = pieces.map(([words, bits], i) => {
      const width = bits * unit;
      const piece =
        box(x.toFixed(1), y, width.toFixed(1), 38, COLOURS[i]) +
        text((x + width / 2).toFixed(1), y + (i ? 54 : 24), words, {
          size: 12,
          fill: i ? INK : '#fff',
        });
      x += width;
      return piece;
    });
    return [text(80, y + 24, name, { anchor: 'end' }), ...drawn];
  });
  figure(
    'double-quantization',
    720,
    150,
    'Bits of a weight: 4.5, and 4.127 with double quantization',
    parts,
  );
}

function lora() {
  figure('lora', 640, 230, 'A frozen weight with a low-rank update beside it', [
    box(20, 95, 60, 40, SOFT, 'x'),
    box(190, 30, 170, 60, COLOURS[0], 'W: frozen, NF4'),
    box(190, 140, 110, 50, COLOURS[1], 'A: r × in'),
    box(350, 140, 110, 50, COLOURS[1], 'B: out × r'),
    arrow(80, 110, 188, 62),
    arrow(80, 120, 188, 165),
    arrow(300, 165, 348, 165),
    arrow(360, 60, 533, 108),
    arrow(460, 165, 533, 122),
    text(505, 160, '× α/r', { size: 12 }),
    box(535, 95, 85, 40, SOFT, 'y = sum'),
    text(325, 218, 'trained: A and B alone; B starts at zero, so the first answer is the base’s', {
      size: 12,
      fill: SOFT,
    }),
  ]);
}

function paging() {
  const pages = ['q', 'k', 'v', 'dense', 'fc1', 'fc2'];
  const held = new Set([1, 2, 3]);
  figure('paging', 640, 226, 'Moments in host memory, three of six on the device', [
    text(20, 32, 'host memory', { anchor: 'start' }),
    text(20, 212, 'device: a budget of 3 pages', { anchor: 'start' }),
    ...pages.map((name, i) =>
      box(
        20 + i * 100,
        44,
        86,
        34,
        held.has(i) ? '#d7dce5' : COLOURS[0],
        name,
        held.has(i) ? INK : '#fff',
      ),
    ),
    ...pages.flatMap((name, i) =>
      held.has(i) ? [box(20 + i * 100, 162, 86, 34, COLOURS[2], name)] : [],
    ),
    arrow(163, 160, 163, 82),
    arrow(263, 82, 263, 160),
    arrow(363, 82, 363, 160),
    text(170, 124, 'leaves', { size: 12, anchor: 'start' }),
    text(270, 124, 'in use', { size: 12, anchor: 'start' }),
    text(370, 124, 'fetched ahead', { size: 12, anchor: 'start' }),
  ]);
}

function checkpointing() {
  const blocks = 6;
  const y = { forward: 50, backward: 140 };
  figure('checkpointing', 680, 200, 'Inputs of blocks are kept, the rest is computed again', [
    text(10, y.forward + 22, 'forward', { anchor: 'start' }),
    text(10, y.backward + 22, 'backward', { anchor: 'start' }),
    ...Array.from({ length: blocks }, (_, i) => {
      const x = 100 + i * 95;
      return [
        box(x, y.forward, 70, 36, COLOURS[0], `block ${i + 1}`),
        `<circle cx="${x - 12}" cy="${y.forward + 18}" r="7" fill="${COLOURS[3]}"/>`,
        box(
          x,
          y.backward,
          70,
          36,
          i < 3 ? '#d7dce5' : COLOURS[1],
          i === 3 ? 'again' : `block ${i + 1}`,
          i < 3 ? INK : '#fff',
        ),
        ...(i === 3 ? [arrow(x - 12, y.forward + 28, x + 20, y.backward - 2)] : []),
      ];
    }).flat(),
    text(
      340,
      192,
      'kept: one input a block (dots); everything inside a block once more, when its gradients are due',
      { size: 12, fill: SOFT },
    ),
  ]);
}

function masks() {
  const cells = [
    ['&lt;|user|&gt;', 0],
    ['¿Qué', 0],
    ['es', 0],
    ['una pila?', 0],
    ['&lt;|end|&gt;', 0],
    ['&lt;|assistant|&gt;', 0],
    ['Lo', 1],
    ['último', 1],
    ['…', 1],
    ['&lt;|end|&gt;', 1],
    ['pad', -1],
    ['pad', -1],
  ];
  figure('masks', 860, 150, 'Which tokens of a chat carry a loss', [
    ...cells.map(([words, kind], i) =>
      box(
        10 + i * 70,
        30,
        66,
        40,
        kind === 1 ? COLOURS[2] : kind === 0 ? '#d7dce5' : '#f1f3f7',
        `<tspan font-size="10">${words}</tspan>`,
        kind === 1 ? '#fff' : INK,
      ),
    ),
    ...cells.map(([, kind], i) =>
      text(43 + i * 70, 92, kind === 1 ? 'trained' : kind === 0 ? '−100' : 'not read', {
        size: 11,
        fill: kind === 1 ? COLOURS[2] : SOFT,
      }),
    ),
    text(
      430,
      130,
      'the answer and the token that ends it; padding is known by length, never by its id',
      { size: 12, fill: SOFT },
    ),
  ]);
}

for (const draw of [nf4, doubleQuantization, lora, paging, checkpointing, masks]) draw();
