import type { Language } from './index.js';

type Explanation = Readonly<Record<Language, string>>;

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
    /^(NO_ENGINE|WEBGPU_|GPUJS_|COMPUTE_(WORKERS|NO_SIMD))/,
    {
      en: 'This engine does not start in this browser. Choose another one on the Device page.',
      es: 'Este motor no arranca en este navegador. Elige otro en la página Equipo.',
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
    /^(FETCH|DOWNLOAD)_FAILED/,
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

/** A sentence for a student; null where the message itself must do. */
export function explain(code: string, language: Language): string | null {
  return EXPLANATIONS.find(([pattern]) => pattern.test(code))?.[1][language] ?? null;
}
