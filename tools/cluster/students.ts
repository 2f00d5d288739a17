/**
 * What it takes to serve 10,000 students, each with an adapter of their own, on paper: prints the tables of
 * docs/serving-10000-students.md, or of the Spanish page with `es`.
 *
 *     node --experimental-strip-types tools/cluster/students.ts [es]        # Node 22 or later
 */

/** A figure that was measured, as its source prints it. */
export interface Measured {
  readonly value: number;
  /** Word for word in the source. */
  readonly printed: string;
  readonly source: 'docs/lab-notebook.md' | 'docs/exactness.md';
  readonly what: readonly [english: string, spanish: string];
}

const GIB = 2 ** 30;
const notebook = 'docs/lab-notebook.md' as const;

export const MEASURED = {
  parameters: {
    value: 10_485_760,
    printed: '10,485,760',
    source: 'docs/exactness.md',
    what: [
      'parameters of an adapter (r 16 on q, k, v, dense)',
      'parámetros de un adaptador (r 16 en q, k, v, dense)',
    ],
  },
  base: {
    value: 2.19 * GIB,
    printed: '2.19 GiB',
    source: notebook,
    what: [
      'Phi-2 in NF4 on the GPU, embedding and head in f32',
      'Phi-2 en NF4 en la GPU, embedding y cabeza en f32',
    ],
  },
  tables: {
    value: 1.05 * GIB,
    printed: '1.05 GiB of the 2.19',
    source: notebook,
    what: [
      'of these, embedding and head; in f16, as today, half',
      'de ellos, embedding y cabeza; en f16, como hoy, la mitad',
    ],
  },
  checkpoint: {
    value: 4_995_584_424 + 563_832_976,
    printed: '4,995,584,424 and 563,832,976 bytes',
    source: 'docs/exactness.md',
    what: ['Phi-2 in fp16 on disk', 'Phi-2 en fp16 en disco'],
  },
  trainRate: {
    value: 8_001,
    printed: '| 4 x 512 | 8,001 |',
    source: notebook,
    what: [
      'tokens/s of training, 4 x 512, one H100',
      'tokens/s de entrenamiento, 4 x 512, una H100',
    ],
  },
  start: {
    value: 11 + 7,
    printed:
      'From fp16 files to the model: 11 s; the first step of a process that finds no compiled kernels takes 7 s more',
    source: notebook,
    what: ['seconds until a new process trains', 'segundos hasta que un proceso nuevo entrena'],
  },
  tokens: {
    value: 116_847,
    printed: '116,847 tokens',
    source: notebook,
    what: [
      "tokens of the quickstart's recipe (413 chats, phi-nano's tokenizer)",
      'tokens de la receta del quickstart (413 chats, tokenizador de phi-nano)',
    ],
  },
  decode: {
    value: 136,
    printed: '| decode, 128 tokens before | 136 |',
    source: notebook,
    what: [
      'tokens/s of one answer, H100, 128 tokens before',
      'tokens/s de una respuesta, H100, 128 tokens antes',
    ],
  },
  decodeLong: {
    value: 101,
    printed: '| decode, 1,024 tokens before | 101 |',
    source: notebook,
    what: ['the same after 1,024 tokens', 'lo mismo tras 1,024 tokens'],
  },
  copyRate: {
    value: 2.46e9 / 1.6,
    printed: 'moves 2.46 GB in: 1.6 s',
    source: notebook,
    what: ['bytes/s into the GPU (2.46 GB in 1.6 s)', 'bytes/s hacia la GPU (2.46 GB en 1.6 s)'],
  },
} satisfies Record<string, Measured>;

/** What nobody measured: choose your own. */
export const ASSUMED = {
  students: 10_000,
  questionsADay: 10,
  answerTokens: 300,
  /** Busiest hour over the mean of the day. */
  peak: 5,
  /** Answers that are computed together, each with a cache of so many tokens. */
  batch: 16,
  context: 1_024,
};

const LAYERS = 32;
const HIDDEN = 2_560;

/** Everything the page says, from measured figures and assumptions. */
export function computed(assumed = ASSUMED) {
  const m = MEASURED;
  const { students, questionsADay, answerTokens, peak, batch, context } = assumed;
  const adapter = m.parameters.value * 4;
  const base = m.base.value - m.tables.value / 2;
  // Keys and values of every layer in f32: packages/phi2-model/src/cached-attention.ts.
  const cache = batch * context * LAYERS * 2 * HIDDEN * 4;
  const resident = (gpu: number, each: number) =>
    Math.max(0, Math.floor((gpu - base - cache) / each));
  const cards = [80e9, 48e9, 24e9].map((gpu) => {
    const [f32, f16] = [resident(gpu, adapter), resident(gpu, adapter / 2)];
    return {
      gpu,
      f32,
      f16,
      gpusForAll: Math.ceil(students / f32),
      gpusForAllF16: Math.ceil(students / f16),
    };
  });
  const trainSeconds = m.tokens.value / m.trainRate.value;
  const seconds = (answerTokens / m.decode.value + answerTokens / m.decodeLong.value) / 2;
  const meanRate = (students * questionsADay) / 86_400;
  return {
    ...{ adapter, base, cache, cards, trainSeconds, seconds },
    diskF32: students * adapter,
    diskF16: (students * adapter) / 2,
    diskMerged: students * m.checkpoint.value,
    trainHours: (students * trainSeconds) / 3_600,
    startHours: (students * m.start.value) / 3_600,
    swapSeconds: adapter / m.copyRate.value,
    answersAnHour: 3_600 / seconds,
    gpusMean: meanRate * seconds,
    gpusPeak: meanRate * peak * seconds,
  };
}

/** A number as the language of a page writes it. */
function printer(language: 'en' | 'es') {
  return (value: number, digits = 0) =>
    value.toLocaleString(language, {
      ...{ minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: true },
    });
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** The tables of the page, in the order in which it has them. */
export function tables(language: 'en' | 'es', assumed = ASSUMED): string[] {
  const c = computed(assumed);
  const t = (english: string, spanish: string) => (language === 'en' ? english : spanish);
  const number = printer(language);
  const giga = (bytes: number) => `${number(bytes / 1e9, 2)} GB`;
  const at = language === 'en' ? 0 : 1;
  const inputs = Object.values(MEASURED).map(({ what, printed, source }) => [
    what[at],
    `"${printed.replace(/^\| | \|$/g, '').replaceAll(' | ', ': ')}"`,
    source,
  ]);
  return [
    table(
      [
        t('measured', 'medido'),
        t('as it is written there', 'como está escrito allí'),
        t('where', 'dónde'),
      ],
      inputs,
    ),
    table(
      [t('bytes', 'bytes'), ''],
      [
        [
          t('one adapter, f32, as it is written', 'un adaptador, f32, como se escribe'),
          `${number(c.adapter / 1e6, 1)} MB`,
        ],
        [t('10,000 adapters, f32', '10.000 adaptadores, f32'), giga(c.diskF32)],
        [t('the same in fp16', 'lo mismo en fp16'), giga(c.diskF16)],
        [
          t(
            '10,000 merged models in fp16 instead',
            '10.000 modelos fusionados en fp16 en su lugar',
          ),
          giga(c.diskMerged),
        ],
        [
          t('the base on a GPU, once for all', 'la base en una GPU, una vez para todos'),
          giga(c.base),
        ],
        [
          t(
            'keys and values of 16 answers of 1,024 tokens, f32',
            'claves y valores de 16 respuestas de 1.024 tokens, f32',
          ),
          giga(c.cache),
        ],
      ],
    ),
    table(
      [
        t('GPU', 'GPU'),
        t('adapters in its memory, f32', 'adaptadores en su memoria, f32'),
        t('if held in fp16 (not built)', 'si se tuvieran en fp16 (no hecho)'),
        t('GPUs to hold all 10,000, f32', 'GPU para tener los 10.000, f32'),
        t('in fp16', 'en fp16'),
      ],
      c.cards.map(({ gpu, f32, f16, gpusForAll, gpusForAllF16 }) => [
        `${gpu / 1e9} GB`,
        ...[f32, f16, gpusForAll, gpusForAllF16].map((each) => number(each)),
      ]),
    ),
    table(
      [t('training, one H100', 'entrenamiento, una H100'), ''],
      [
        [t('one adapter', 'un adaptador'), `${number(c.trainSeconds, 1)} s`],
        [
          t(
            '10,000 of them, one after the other in one process',
            '10.000, uno tras otro en un proceso',
          ),
          `${number(c.trainHours, 1)} h`,
        ],
        [
          t('a new process for each adds', 'un proceso nuevo para cada uno añade'),
          `${number(c.startHours, 1)} h`,
        ],
      ],
    ),
    table(
      [
        t('answers, H100, one at a time on each', 'respuestas, H100, de una en una en cada una'),
        '',
      ],
      [
        [
          t('seconds of an answer of 300 tokens', 'segundos de una respuesta de 300 tokens'),
          number(c.seconds, 2),
        ],
        [t('answers an hour and GPU', 'respuestas por hora y GPU'), number(c.answersAnHour)],
        [
          t('GPUs busy on the mean of a day', 'GPU ocupadas en la media de un día'),
          number(c.gpusMean, 2),
        ],
        [t('GPUs in the busiest hour', 'GPU en la hora de más uso'), number(c.gpusPeak, 2)],
        [
          t('seconds to bring an adapter to a GPU', 'segundos para llevar un adaptador a una GPU'),
          number(c.swapSeconds, 3),
        ],
      ],
    ),
  ];
}

if (process.argv[1]?.endsWith('students.ts'))
  console.log(tables(process.argv[2] === 'es' ? 'es' : 'en').join('\n\n'));
