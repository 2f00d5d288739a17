import { formatBytes } from '@qlorajs/session';
import type { Language } from './index.js';

/** Numbers of an error, for its sentence. */
type Details = Readonly<Record<string, unknown>>;
type Explanation = Readonly<Record<Language, string | ((details: Details) => string)>>;

const bytes = (value: unknown) => formatBytes(Number(value));

/** What an error means to a student, by the beginning of its code; the first that matches counts. */
const EXPLANATIONS: readonly (readonly [RegExp, Explanation])[] = [
  [
    /^DATASET_ENCODING/,
    {
      en: 'The file is not saved as UTF-8. Save it again as UTF-8 text.',
      es: 'El archivo no está guardado como UTF-8. Guárdalo otra vez como texto UTF-8.',
    },
  ],
  [
    /^DATASET_NOT_JSONL/,
    {
      en: 'This is one JSON document; write one object on each line instead (JSONL).',
      es: 'Es un solo documento JSON; escribe un objeto en cada línea (JSONL).',
    },
  ],
  [
    /^DATASET_JSON/,
    {
      en: 'This line is not JSON. Look for a missing quote, comma or bracket at the column that is named.',
      es: 'Esta línea no es JSON. Busca una comilla, coma o llave que falte en la columna indicada.',
    },
  ],
  [
    /^DATASET_NO_ROWS/,
    {
      en: 'The file has no rows to learn from.',
      es: 'El archivo no tiene filas de las que aprender.',
    },
  ],
  [
    /^DATASET_(TOO_LONG|LENGTH)/,
    {
      en: 'This row is longer than the model can read. Shorten it, or let longer rows be left out (More options).',
      es: 'Esta fila es más larga de lo que el modelo puede leer. Acórtala, o deja fuera las filas largas (Más opciones).',
    },
  ],
  [
    /^DATASET_/,
    {
      en: 'This row is not in a form that can be learnt from. Each line needs a question and an answer.',
      es: 'Esta fila no tiene una forma de la que se pueda aprender. Cada línea necesita una pregunta y una respuesta.',
    },
  ],
  [
    /^LORA_FILE_MISSING/,
    {
      en: 'An adapter needs two files: adapter_config.json and adapter_model.safetensors. Drop both together, or the whole folder.',
      es: 'Un adaptador necesita dos archivos: adapter_config.json y adapter_model.safetensors. Suéltalos juntos, o la carpeta entera.',
    },
  ],
  [
    /^LORA_NONE/,
    {
      en: 'The base model has no adapter to look into. Choose an adapter.',
      es: 'El modelo base no tiene adaptador que mirar. Elige un adaptador.',
    },
  ],
  [
    /^LORA_PATTERN/,
    {
      en: 'The adapter names its layers with a pattern that cannot be read here.',
      es: 'El adaptador nombra sus capas con un patrón que aquí no se puede leer.',
    },
  ],
  [
    /^LORA_ADAPTER_MISMATCH/,
    {
      en: 'This adapter was made for another model than the one that is loaded.',
      es: 'Este adaptador se hizo para otro modelo, no para el que está cargado.',
    },
  ],
  [
    /^(LORA|PEFT)_/,
    {
      en: 'The adapter’s configuration asks for something that is not there or not known here.',
      es: 'La configuración del adaptador pide algo que aquí no está o no se conoce.',
    },
  ],
  [
    /^JSON_SYNTAX/,
    {
      en: 'A configuration file is damaged: it is not JSON. Get the file again.',
      es: 'Un archivo de configuración está dañado: no es JSON. Consíguelo otra vez.',
    },
  ],
  [
    /^SAFETENSORS_CHECKPOINT_MISSING/,
    {
      en: 'The folder has no weights (model.safetensors or its parts).',
      es: 'La carpeta no tiene pesos (model.safetensors o sus partes).',
    },
  ],
  [
    /^SAFETENSORS_/,
    {
      en: 'The weights file is damaged or is no safetensors file: perhaps a download that was cut. Get it again.',
      es: 'El archivo de pesos está dañado o no es safetensors: quizá una descarga cortada. Consíguelo otra vez.',
    },
  ],
  [
    /^BASE_CONFIG_MISSING/,
    {
      en: 'The folder has no config.json: it is not the folder of a model.',
      es: 'La carpeta no tiene config.json: no es la carpeta de un modelo.',
    },
  ],
  [
    /^PHI_CONFIG/,
    {
      en: 'This model is of another kind. Only models of the Phi family (phi-1, phi-1.5, phi-2) run here.',
      es: 'Este modelo es de otro tipo. Aquí solo funcionan los de la familia Phi (phi-1, phi-1.5, phi-2).',
    },
  ],
  [
    /^PHI_TENSORS/,
    {
      en: 'The weights do not belong to this config.json: files of two models are mixed.',
      es: 'Los pesos no corresponden a este config.json: se mezclaron archivos de dos modelos.',
    },
  ],
  [
    /^(PHI|BLOCKWISE|NF4)_NOT_FINITE/,
    {
      en: 'The weights hold values that are no numbers: the file is damaged, or they overflowed when they were saved. Get it again.',
      es: 'Los pesos tienen valores que no son números: el archivo está dañado o se desbordaron al guardarse. Consíguelo otra vez.',
    },
  ],
  [
    /^NF4_ALREADY/,
    {
      en: 'This model came in 4 bits, so there are no original weights to compare with. Load phi-nano, or the model from its files.',
      es: 'Este modelo llegó en 4 bits: no están los pesos originales con que comparar. Carga phi-nano, o el modelo desde sus archivos.',
    },
  ],
  [
    /^(NF4|BLOCKWISE|QUANTIZATION)_/,
    {
      en: 'The model is stored in 4 bits in a way that is damaged or not known here. Load it in 16 bits.',
      es: 'El modelo está guardado en 4 bits de una forma dañada o desconocida aquí. Cárgalo en 16 bits.',
    },
  ],
  [
    /^PHI_CONTEXT/,
    {
      en: 'That is longer than the model can read at once. Make it shorter or start a new chat.',
      es: 'Eso es más largo de lo que el modelo lee de una vez. Acórtalo o empieza un chat nuevo.',
    },
  ],
  [
    /^TOKENIZER_/,
    {
      en: 'The folder’s tokenizer is missing or damaged: without it the model cannot read text.',
      es: 'El tokenizador de la carpeta falta o está dañado: sin él el modelo no puede leer texto.',
    },
  ],
  [
    /^CHAT_TEMPLATE/,
    {
      en: 'The chat template is missing or has a mistake.',
      es: 'La plantilla de chat falta o tiene un error.',
    },
  ],
  [
    /^COMPUTE_OUT_OF_MEMORY/,
    {
      en: 'There is not enough memory. Use fewer rows at one time or shorter rows, or close other tabs.',
      es: 'No hay memoria suficiente. Usa menos filas a la vez o filas más cortas, o cierra otras pestañas.',
    },
  ],
  [
    /^(WEBGPU_DEVICE_LOST|GPUJS_CONTEXT_LOST)/,
    {
      en: 'The browser took the graphics card away. Reload the page: a run goes on from its last checkpoint.',
      es: 'El navegador retiró la tarjeta gráfica. Recarga la página: un entrenamiento sigue desde su último punto de control.',
    },
  ],
  [
    /^GPUJS_LIMIT/,
    {
      en: 'That is too large for WebGL2. Use fewer or shorter rows, or another engine (Device).',
      es: 'Eso es demasiado grande para WebGL2. Usa menos filas o más cortas, u otro motor (Equipo).',
    },
  ],
  [
    /^WEBGPU_SOFTWARE/,
    {
      en: 'This computer has no graphics card that the browser may use: WebGPU would run in software, slower than the CPU engine.',
      es: 'Este equipo no tiene una tarjeta gráfica que el navegador pueda usar: WebGPU iría por software, más lento que el motor de CPU.',
    },
  ],
  [
    /^WEBGPU_NO_/,
    {
      en: 'This browser, or this computer, has no WebGPU for it.',
      es: 'Este navegador, o este equipo, no tiene WebGPU para esto.',
    },
  ],
  [
    /^COMPUTE_WORKERS/,
    {
      en: 'Threads need a page that is isolated from others. Reload it once, or open it with qlora playground.',
      es: 'Los hilos necesitan una página aislada de otras. Recárgala una vez, o ábrela con qlora playground.',
    },
  ],
  [
    /^COMPUTE_NO_(RELAXED_)?SIMD/,
    {
      en: 'This browser has no WebAssembly SIMD. Update it.',
      es: 'Este navegador no tiene WebAssembly SIMD. Actualízalo.',
    },
  ],
  [
    /^GPUJS_NO_WEBGL/,
    {
      en: 'This browser gives no WebGL2 with float textures. Update it, or allow hardware acceleration.',
      es: 'Este navegador no da WebGL2 con texturas de coma flotante. Actualízalo o permite la aceleración por hardware.',
    },
  ],
  [
    /^(NO_ENGINE|WEBGPU_|GPUJS_|COMPUTE_(WORKERS|NO_SIMD))/,
    {
      en: 'This engine does not start in this browser. Choose another one on the Device page.',
      es: 'Este motor no arranca en este navegador. Elige otro en la página Equipo.',
    },
  ],
  [
    /^PLAN_BASE/,
    {
      en: ({ peakBytes, budgetBytes }) =>
        `This model is too large for this engine: with a full conversation it takes ${bytes(peakBytes)} of memory, and the engine has ${bytes(budgetBytes)}. Choose a smaller model, or another engine (Device).`,
      es: ({ peakBytes, budgetBytes }) =>
        `Este modelo es demasiado grande para este motor: con una conversación llena ocupa ${bytes(peakBytes)} de memoria, y el motor tiene ${bytes(budgetBytes)}. Elige un modelo más pequeño u otro motor (Equipo).`,
    },
  ],
  [
    /^STORAGE_ROOM/,
    {
      en: ({ needed, free }) =>
        `This takes ${bytes(needed)} of the browser’s storage, which has ${bytes(free)} left. Delete old runs or kept models, or free space on the disk.`,
      es: ({ needed, free }) =>
        `Esto ocupa ${bytes(needed)} del almacenamiento del navegador, al que le quedan ${bytes(free)}. Borra entrenamientos o modelos guardados, o libera espacio en el disco.`,
    },
  ],
  [
    /^NOT_KEPT/,
    {
      en: 'The model can be used, but the browser has no room to keep it for the next visit.',
      es: 'El modelo se puede usar, pero el navegador no tiene sitio para guardarlo para la próxima visita.',
    },
  ],
  [
    /^LOADING_STOPPED/,
    {
      en: 'Loading was stopped. What came of a download is kept: the next one goes on from there.',
      es: 'Se paró la carga. Lo que llegó de una descarga se conserva: la próxima sigue desde ahí.',
    },
  ],
  [
    /^STORAGE_FULL/,
    {
      en: 'The browser’s storage is full. Delete old runs or kept models.',
      es: 'El almacenamiento del navegador está lleno. Borra entrenamientos o modelos guardados.',
    },
  ],
  [
    /^STORAGE_ABSENT/,
    {
      en: 'The browser keeps no files for this page. Leave private browsing, or allow site data.',
      es: 'El navegador no guarda archivos de esta página. Sal del modo privado o permite los datos del sitio.',
    },
  ],
  [
    /^HUB_(NOT_FOUND|ACCESS)/,
    {
      en: 'The Hub gives no such model to everybody. Check the name, or download it elsewhere and load its folder.',
      es: 'El Hub no da ese modelo a todo el mundo. Revisa el nombre, o descárgalo aparte y carga su carpeta.',
    },
  ],
  [
    /^HUB_NO_SAFETENSORS/,
    {
      en: 'This model has no weights in safetensors, the only form that is safe to load.',
      es: 'Este modelo no tiene pesos en safetensors, la única forma que se puede cargar sin riesgo.',
    },
  ],
  [
    /^HUB_DAMAGED/,
    {
      en: 'A file came damaged twice, so it was thrown away. Try again later.',
      es: 'Un archivo llegó dañado dos veces y se descartó. Inténtalo más tarde.',
    },
  ],
  [
    /^HUB_BUSY/,
    {
      en: 'Another tab of this browser downloads this model. Wait for it, or close it.',
      es: 'Otra pestaña de este navegador está descargando este modelo. Espera, o ciérrala.',
    },
  ],
  [
    /^((FETCH|DOWNLOAD)_FAILED|HUB_(INTERRUPTED|UNREACHABLE|ANSWER))/,
    {
      en: 'The files did not come. Check the connection and try again: what came is kept.',
      es: 'Los archivos no llegaron. Revisa la conexión e inténtalo otra vez: lo que llegó se conserva.',
    },
  ],
  [
    /^HUB_URL/,
    {
      en: 'That is neither a model’s id, such as microsoft/phi-2, nor an address.',
      es: 'Eso no es ni el id de un modelo, como microsoft/phi-2, ni una dirección.',
    },
  ],
  [
    /^TRAINER_DIVERGED/,
    {
      en: 'The loss is no number any more: the steps are too large. Lower the learning rate.',
      es: 'La pérdida dejó de ser un número: los pasos son demasiado grandes. Baja la tasa de aprendizaje.',
    },
  ],
  [
    /^OPTION_VALUE/,
    {
      en: 'One of the options has a value that cannot be.',
      es: 'Una de las opciones tiene un valor que no puede ser.',
    },
  ],
  [
    /^(CHECKPOINT_BROKEN|OPTIMIZER_|RUN_MISSING)/,
    {
      en: 'What was saved of this run cannot be read any more. Delete it, and start a new one.',
      es: 'Lo guardado de este entrenamiento ya no se puede leer. Bórralo y empieza otro.',
    },
  ],
  [
    /^NO_BASE/,
    {
      en: 'No model is loaded. Choose one in Chat, under Model.',
      es: 'No hay ningún modelo cargado. Elige uno en Chat, en Modelo.',
    },
  ],
  [
    /^NO_DATA/,
    {
      en: 'No data file is open. Drop one first.',
      es: 'No hay ningún archivo de datos abierto. Suelta uno antes.',
    },
  ],
  [
    /^CHAT_VOICE/,
    {
      en: 'No adapter has this name any more. Choose another one.',
      es: 'Ya no hay ningún adaptador con ese nombre. Elige otro.',
    },
  ],
  [
    /^BUSY/,
    {
      en: 'The engine is busy. Pause or stop what it does first.',
      es: 'El motor está ocupado. Pausa o para antes lo que hace.',
    },
  ],
  [
    /^RUN_ELSEWHERE/,
    {
      en: 'Another tab of this browser has this run. Use that tab, or close it.',
      es: 'Otra pestaña de este navegador tiene este entrenamiento. Usa esa pestaña, o ciérrala.',
    },
  ],
  [
    /^RUN_BASE/,
    {
      en: 'This run trains another model. Load that model first (Chat, Model).',
      es: 'Este entrenamiento usa otro modelo. Cárgalo primero (Chat, Modelo).',
    },
  ],
];

const UNEXPECTED: Readonly<Record<Language, string>> = {
  en: 'This was not foreseen. What it says is under Details.',
  es: 'Esto no estaba previsto. Lo que dice está en Detalles.',
};

/** A sentence for a student; the message itself stands beside it. */
export function explain(code: string, details: Details, language: Language): string {
  const found = EXPLANATIONS.find(([pattern]) => pattern.test(code));
  const said = (found?.[1] ?? UNEXPECTED)[language];
  return typeof said === 'function' ? said(details) : said;
}
