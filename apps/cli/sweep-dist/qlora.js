// src/main.ts
// src/program.ts
import { Command, CommanderError, Option } from 'commander';

// src/options/table.ts
function option(type, fallback, describe) {
  return { type, default: fallback, required: false, describe };
}
function optional(type, describe) {
  return { type, default: void 0, required: false, describe };
}
function required(type, describe) {
  return { type, default: void 0, required: true, describe };
}
function camelCase(key) {
  return key.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
}
function flagOf(key) {
  return `--${key.replaceAll('_', '-')}`;
}

// src/options/value-types.ts
import { QLoraError } from '@qlorajs/errors';

function wrong(name, value, expected) {
  return new QLoraError(
    'OPTION_VALUE',
    `${name} is ${JSON.stringify(value)}; it must be ${expected}`,
    { details: { option: name, value } },
  );
}
function toNumber(value) {
  if (typeof value === 'string' && value.trim() !== '') return Number(value);
  return typeof value === 'number' ? value : Number.NaN;
}
function numeric(placeholder, kind, accept, { min, max }) {
  const range = [min === void 0 ? '' : ` from ${min}`, max === void 0 ? '' : ` up to ${max}`];
  return {
    placeholder,
    parse(value, name) {
      const number2 = toNumber(value);
      const inside = number2 >= (min ?? -Infinity) && number2 <= (max ?? Infinity);
      if (inside && accept(number2)) return number2;
      throw wrong(name, value, `${kind}${range.join('')}`);
    },
  };
}
function integer(min, max) {
  return numeric('N', 'a whole number', Number.isSafeInteger, { min, max });
}
function number(min, max) {
  return numeric('X', 'a number', Number.isFinite, { min, max });
}
function text(placeholder) {
  return {
    placeholder,
    parse(value, name) {
      if (typeof value === 'string' && value !== '') return value;
      throw wrong(name, value, 'a text that is not empty');
    },
  };
}
function anyText(placeholder) {
  return {
    placeholder,
    parse(value, name) {
      if (typeof value === 'string') return value;
      throw wrong(name, value, 'a text');
    },
  };
}
function choice(...words) {
  return {
    placeholder: words.join('|'),
    parse(value, name) {
      const found = words.find((word) => word === value);
      if (found !== void 0) return found;
      throw wrong(name, value, `one of ${words.join(', ')}`);
    },
  };
}
var toggle = {
  placeholder: null,
  parse(value, name) {
    if (typeof value === 'boolean') return value;
    throw wrong(name, value, 'true or false');
  },
};
function texts(placeholder) {
  return {
    placeholder,
    parse(value, name) {
      const list = (Array.isArray(value) ? value : [value]).flatMap((each) =>
        typeof each === 'string' ? each.split(',').map((part) => part.trim()) : [each],
      );
      if (list.length > 0 && list.every((each) => typeof each === 'string' && each !== ''))
        return list;
      throw wrong(name, value, 'a text, or texts with commas between them');
    },
  };
}
var modules = {
  placeholder: 'NAMES',
  parse(value, name) {
    if (typeof value === 'string' && (value === 'all-linear' || /[\\*+?()[\]|^$]/.test(value)))
      return value;
    return texts('NAMES').parse(value, name);
  },
};

// src/options/common-options.ts
var uiOptions = {
  json: option(toggle, false, 'print one JSON document on stdout and nothing else there'),
  verbose: option(toggle, false, 'more detail on stderr, stack traces included'),
  quiet: option(toggle, false, 'no progress and no notices; warnings and errors stay'),
};
var backendOptions = {
  backend: option(
    choice('auto', 'webgpu', 'wasm', 'gpujs', 'reference'),
    'auto',
    'what computes; reference is the slow float64 oracle',
  ),
  threads: optional(integer(1), 'threads of the CPU backend (default: all cores)'),
};
var quantizationOptions = {
  load_in_4bit: option(toggle, true, "quantize the blocks' linear layers to 4 bits while loading"),
  bnb_4bit_quant_type: option(choice('nf4'), 'nf4', 'the 4-bit format'),
  bnb_4bit_use_double_quant: option(toggle, true, 'quantize the scales too'),
};
var BASE = 'Hugging Face folder of a Phi model, or phi-nano';
var baseOption = { base: required(text('DIR|phi-nano'), BASE) };
var optionalBaseOption = {
  base: optional(text('DIR|phi-nano'), `${BASE} (default: the adapter's own)`),
};
var adapterOption = { adapter: optional(text('DIR'), 'PEFT adapter folder') };
var adaptersOption = {
  adapter: optional(texts('DIR'), 'PEFT adapter folder; repeatable'),
};

// src/options/resolve.ts
// src/options/config-file.ts
// src/io/file-error.ts
import {
  QLoraError as QLoraError2,
  QLoraError as QLoraError3,
  QLoraError as QLoraError4,
  QLoraError as QLoraError5,
} from '@qlorajs/errors';
// src/io/read.ts
import { readFile, stat } from 'fs/promises';
import { parse as parseYaml } from 'yaml';

var REASONS = {
  ENOENT: ['FILE_MISSING', 'there is no such file or folder; check the path'],
  EACCES: ['FILE_PERMISSION', 'permission denied; change its permissions or take another place'],
  EPERM: ['FILE_PERMISSION', 'the system does not permit it; take another place'],
  EROFS: ['FILE_READ_ONLY', 'the file system is read-only; take another place'],
  ENOTDIR: ['FILE_NOT_FOLDER', 'a part of this path is a file, not a folder; take another place'],
  EEXIST: ['FILE_NOT_FOLDER', 'a file of this name is in the way; take another place'],
  EISDIR: ['FILE_IS_FOLDER', 'it is a folder; give a file'],
  ENOSPC: ['DISK_FULL', 'the disk is full; make room or take another place'],
  EDQUOT: ['DISK_FULL', 'the quota of the disk is used up; make room or take another place'],
};
function fileError(cause, action, path) {
  const system = cause.code ?? 'unknown';
  const [code, reason] = REASONS[system] ?? ['FILE_SYSTEM', cause.message];
  const kind = code === 'DISK_FULL' || code === 'FILE_SYSTEM' ? 'runtime' : 'input';
  return new QLoraError2(code, `cannot ${action} ${path}: ${reason}`, {
    kind,
    details: { path, system },
    cause,
  });
}
async function withFile(action, path, work) {
  try {
    return await work();
  } catch (error) {
    throw error.syscall ? fileError(error, action, path) : error;
  }
}

// src/io/read.ts
function readBytes(path) {
  return withFile('read', path, () => readFile(path));
}
async function readText(path) {
  return new TextDecoder().decode(await readBytes(path));
}
async function readJson(path) {
  const source = await readText(path);
  try {
    return JSON.parse(source);
  } catch (cause) {
    throw new QLoraError3('JSON_SYNTAX', `${path} is not JSON: ${cause.message}`, {
      details: { file: path },
      cause,
    });
  }
}
async function kindOf(path) {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch {
    return 'nothing';
  }
}

// src/options/nearest.ts
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
function nearest(word, words) {
  return [...words].sort((a, b) => distance(word, a) - distance(word, b))[0];
}

// src/options/config-file.ts
function parse(source, file) {
  try {
    return parseYaml(source);
  } catch (cause) {
    throw new QLoraError4('CONFIG_SYNTAX', `${file}: ${cause.message.trim()}`, {
      details: { file },
      cause,
    });
  }
}
async function readConfigFile(file, table2) {
  const value = parse(await readText(file), file) ?? {};
  if (typeof value !== 'object' || Array.isArray(value))
    throw new QLoraError4('CONFIG_SYNTAX', `${file} must hold options, one "name: value" a line`, {
      details: { file },
    });
  const known = Object.keys(table2);
  const options = /* @__PURE__ */ new Map();
  for (const [written, each] of Object.entries(value)) {
    const key = written.replaceAll('-', '_');
    if (!known.includes(key)) {
      const guess = nearest(key, known);
      throw new QLoraError4(
        'CONFIG_KEY',
        `${file}: unknown key "${written}"; the nearest option is "${guess}"`,
        { details: { file, key: written, nearest: guess } },
      );
    }
    if (each !== null) options.set(key, each);
  }
  return options;
}

// src/options/resolve.ts
async function resolveOptions(table2, flags, configFile) {
  const config =
    configFile === void 0 ? /* @__PURE__ */ new Map() : await readConfigFile(configFile, table2);
  const values = {};
  for (const [key, spec] of Object.entries(table2)) {
    values[camelCase(key)] = flags.has(key)
      ? spec.type.parse(flags.get(key), flagOf(key))
      : config.has(key)
        ? spec.type.parse(config.get(key), `${configFile}: ${key}`)
        : defaultOf(key, spec);
  }
  return values;
}
function defaultOf(key, spec) {
  if (!spec.required) return spec.default;
  throw new QLoraError5(
    'OPTION_MISSING',
    `${flagOf(key)} ${spec.type.placeholder} is missing: ${spec.describe}`,
    { details: { option: key } },
  );
}
function withDefaults(table2, given) {
  const defaults = Object.entries(table2).map(([key, spec]) => [camelCase(key), spec.default]);
  return { ...Object.fromEntries(defaults), ...given };
}

// src/report/ui.ts
import { styleText } from 'util';

function createUi(options) {
  const line = (text2) => {
    ui.beforeLine?.();
    process.stderr.write(`${text2}
`);
  };
  const ui = {
    ...options,
    info: (text2) => options.quiet || line(text2),
    detail: (text2) => options.verbose && line(text2),
    warn: (text2) => line(`warning: ${text2}`),
    print: (text2) => options.json || process.stdout.write(text2),
    result: (document) => {
      if (options.json)
        process.stdout.write(`${JSON.stringify(document, null, 2)}
`);
    },
    beforeLine: null,
  };
  return ui;
}
function paint(format, text2, stream) {
  const wanted = stream.isTTY === true && !process.env.NO_COLOR;
  return wanted ? styleText(format, text2) : text2;
}

// src/program.ts
function defaultText({ default: value, required: required2 }) {
  if (required2) return ' (required)';
  if (value === void 0 || value === false) return '';
  return ` (default: ${Array.isArray(value) ? value.join(',') : String(value)})`;
}
function flagsOf(key, spec) {
  const { placeholder } = spec.type;
  const describe = spec.describe + defaultText(spec);
  if (placeholder !== null) {
    const flag = new Option(`${flagOf(key)} <${placeholder}>`, describe);
    flag.argParser((text2, earlier) => (earlier === void 0 ? text2 : [earlier, text2].flat()));
    return [flag];
  }
  return [
    new Option(flagOf(key), describe),
    new Option(`--no-${flagOf(key).slice(2)}`, spec.describe).hideHelp(spec.default !== true),
  ];
}
function addVerb(parent, verb2, done) {
  const command3 = parent.command(verb2.name.split(' ').at(-1)).description(verb2.summary);
  if (verb2.argument) command3.argument(`<${verb2.argument.name}>`, verb2.argument.describe);
  const table2 = { ...verb2.options, ...uiOptions };
  const attributes = /* @__PURE__ */ new Map();
  for (const [key, spec] of Object.entries(table2))
    for (const flag of flagsOf(key, spec)) {
      command3.addOption(flag);
      attributes.set(key, flag.attributeName());
    }
  command3.option('--config <FILE>', 'YAML or JSON file with the same options; flags win');
  command3.action(async (...values) => {
    const given = command3.opts();
    const flags = /* @__PURE__ */ new Map();
    for (const [key, attribute] of attributes)
      if (given[attribute] !== void 0) flags.set(key, given[attribute]);
    const options = await resolveOptions(table2, flags, given.config);
    const argument = typeof values[0] === 'string' ? values[0] : '';
    const ui = createUi(options);
    done(await verb2.run(options, ui, argument));
  });
}
function createProgram(verbs2, version, done) {
  const program = new Command('qlora')
    .description('Fine-tune Microsoft Phi-2 with QLoRA, and talk to it')
    .version(version)
    .exitOverride()
    .showHelpAfterError('(--help lists what there is)');
  const groups = /* @__PURE__ */ new Map();
  for (const verb2 of verbs2) {
    const [first, second] = verb2.name.split(' ');
    if (second !== void 0 && !groups.has(first))
      groups.set(first, program.command(first).description('work on datasets'));
    addVerb(second === void 0 ? program : groups.get(first), verb2, done);
  }
  return program;
}

// src/report/failure.ts
import { isQLoraError } from '@qlorajs/errors';

var EXIT = { done: 0, failed: 1, wrongInput: 2, interrupted: 130 };
function describeFailure(thrown, verbose) {
  if (thrown?.name === 'AbortError')
    return {
      exitCode: EXIT.interrupted,
      text: 'interrupted\n',
      document: { error: { code: 'INTERRUPTED', message: 'interrupted' } },
    };
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const known = isQLoraError(error);
  const code = known ? error.code : 'UNEXPECTED';
  const hint = known || verbose ? '' : '\nrun it again with --verbose to see where';
  const trace = verbose
    ? `
${error.stack}${traceOf(error.cause)}`
    : '';
  return {
    exitCode: known && error.kind === 'input' ? EXIT.wrongInput : EXIT.failed,
    text: `error: ${error.message} [${code}]${hint}${trace}
`,
    document: { error: { code, message: error.message, details: known ? error.details : {} } },
  };
}
function traceOf(cause) {
  return cause instanceof Error
    ? `
caused by: ${cause.stack}${traceOf(cause.cause)}`
    : '';
}

// src/model/chat-format.ts
import { compileChatTemplate, TUTOR_CHAT_TEMPLATE, TUTOR_MARKERS } from '@qlorajs/chat-template';
import { QLoraError as QLoraError6, QLoraError as QLoraError7 } from '@qlorajs/errors';
import { Decoder, generate } from '@qlorajs/phi2-model';
// src/model/answer.ts
import { setImmediate as turn } from 'timers/promises';

function endOfTurn(template, tokenizer, variables) {
  if (!template.hasGenerationTags) return [];
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'b' },
  ];
  const { text: text2, spans } = template.render(messages, { variables: { ...variables } });
  const { start, end } = spans[0] ?? { start: 0, end: 0 };
  const last = tokenizer.encode(text2.slice(start, end)).ids.at(-1);
  const isText = last === void 0 || tokenizer.decode([last], { skipSpecialTokens: true }) !== '';
  return isText ? [] : [last];
}
function formatOf(tokenizer, source, addedIds2) {
  const template = compileChatTemplate(source);
  const { bosToken, eosToken, eosId } = tokenizer;
  const variables = {
    ...(bosToken !== null && { bos_token: bosToken }),
    ...(eosToken !== null && { eos_token: eosToken }),
  };
  const stops = [...endOfTurn(template, tokenizer, variables), ...(eosId === null ? [] : [eosId])];
  return { tokenizer, template, variables, addedIds: addedIds2, stopIds: [...new Set(stops)] };
}
function tutorFormat(tokenizer, rows) {
  const added = TUTOR_MARKERS.filter((marker) => tokenizer.idOf(marker) === void 0);
  const extended = tokenizer.addTokens(added, { limit: rows });
  const ids = added.map((marker) => extended.idOf(marker));
  return formatOf(extended, TUTOR_CHAT_TEMPLATE, ids);
}
async function chooseChatFormat(tokenizer, choice2, rows) {
  const own = tokenizer.chatTemplate;
  if (choice2 === 'tutor' || (choice2 === void 0 && own === null))
    return tutorFormat(tokenizer, rows);
  if (choice2 !== void 0 && choice2 !== 'base')
    return formatOf(tokenizer, await readText(choice2), []);
  if (own === null)
    throw new QLoraError6(
      'CHAT_TEMPLATE_MISSING',
      '--chat-template base: the base has no chat template; leave the flag out to use the tutor format, or give a Jinja file',
    );
  return formatOf(tokenizer, own, []);
}
function ownFormat(tokenizer) {
  return tokenizer.chatTemplate === null ? null : formatOf(tokenizer, tokenizer.chatTemplate, []);
}
function promptIds(format, messages) {
  const { template, tokenizer, variables } = format;
  const { text: text2 } = template.render(messages, { addGenerationPrompt: true, variables });
  return tokenizer.encode(text2).ids;
}

// src/model/answer.ts
function systemMessage(voice, given) {
  const content = given ?? voice.systemPrompt ?? '';
  return content === '' ? [] : [{ role: 'system', content }];
}
function tokensOf(voice, messages) {
  if (voice.format !== null) return promptIds(voice.format, messages);
  if (messages.length === 1) return voice.tokenizer.encode(messages[0].content).ids;
  throw new QLoraError7(
    'CHAT_TEMPLATE_MISSING',
    `${voice.name} has no chat template, so it takes one text to continue and neither a system message nor a conversation; give an --adapter that was trained on chats`,
  );
}
async function answer(model, voice, ids, settings3, context = {}) {
  const capacity = Math.min(model.config.maxPositions, ids.length + settings3.maxNewTokens);
  const decoder = context.decoder ?? new Decoder(model, capacity);
  const { eosId } = voice.tokenizer;
  const stopIds = voice.format?.stopIds ?? (eosId === null ? [] : [eosId]);
  const stream = voice.tokenizer.streamDecoder({ skipSpecialTokens: true });
  let [text2, tokens] = ['', 0];
  const add = (piece) => {
    text2 += piece;
    if (piece !== '') context.onText?.(piece);
  };
  let started = performance.now();
  const generation = generate(model, ids, {
    ...settings3,
    stopIds,
    limit: voice.tokenizer.size,
    decoder,
    signal: context.signal,
  });
  try {
    for (;;) {
      const next = await generation.next();
      if (next.done) {
        add(stream.flush());
        const seconds = (performance.now() - started) / 1e3;
        return {
          answer: text2,
          prompt_tokens: ids.length,
          tokens,
          finish_reason: next.value,
          tokens_per_second: tokens > 1 ? (tokens - 1) / seconds : 0,
        };
      }
      if (tokens++ === 0) started = performance.now();
      context.onToken?.(next.value.id);
      add(stream.push(next.value.id));
      await turn();
    }
  } finally {
    if (!context.decoder) decoder.dispose();
  }
}

import { createReferenceBackend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { QLoraError as QLoraError8, QLoraError as QLoraError10 } from '@qlorajs/errors';
import { loadAdapter, readPeftAdapter } from '@qlorajs/lora';
// src/io/backend.ts
import { availableParallelism } from 'os';
// src/model/session.ts
import { basename, resolve } from 'path';

var AUTO_REASON = 'wasm: SIMD and threads on any CPU; the GPU backends are not in this version';
var ABSENT_BACKENDS = ['webgpu', 'gpujs'];
function defaultThreads() {
  return availableParallelism();
}
async function openBackend(options) {
  const { backend, threads = defaultThreads() } = options;
  if (backend === 'reference') return createReferenceBackend();
  if (backend === 'auto' || backend === 'wasm') return createWasmBackend({ threads });
  throw new QLoraError8(
    'BACKEND_ABSENT',
    `--backend ${backend} is not in this version; use wasm (any CPU) or leave the flag out`,
    { details: { backend } },
  );
}

import { QLoraError as QLoraError9 } from '@qlorajs/errors';
import { phiNano } from '@qlorajs/phi-nano';
import { parsePhiConfig } from '@qlorajs/phi2-model';
import { parseQuantizationConfig } from '@qlorajs/quant-nf4';
// src/io/file-source.ts
import { open } from 'fs/promises';
// src/io/base-folder.ts
import { join, join as join2 } from 'path';
import { fileURLToPath } from 'url';

var LARGEST_READ = 2 ** 30;
async function readAt(handle, offset, length) {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = Math.min(length - done, LARGEST_READ);
    const { bytesRead } = await handle.read(bytes, done, count, offset + done);
    if (bytesRead === 0) return bytes.subarray(0, done);
    done += bytesRead;
  }
  return bytes;
}
async function fileSource(path) {
  const handle = await withFile('open', path, () => open(path));
  const { size } = await withFile('open', path, () => handle.stat());
  return {
    name: path,
    size,
    read: (offset, length) => withFile('read', path, () => readAt(handle, offset, length)),
    close: () => handle.close(),
  };
}
function folderSource(path) {
  return {
    name: path,
    has: async (file) => (await kindOf(join(path, file))) === 'file',
    open: (file) => fileSource(join(path, file)),
  };
}

// src/io/base-folder.ts
function notFound(name) {
  if (/^[\w.-]+\/[\w.-]+$/.test(name) && !name.startsWith('.'))
    return new QLoraError9(
      'BASE_HUB_ID',
      `--base ${name}: there is no such folder, and this version does not download from the Hub; run "huggingface-cli download ${name} --local-dir ${name.split('/')[1]}" and give --base ./${name.split('/')[1]}`,
      { details: { base: name } },
    );
  return new QLoraError9(
    'BASE_MISSING',
    `--base ${name}: there is no such folder; give the folder of a Hugging Face Phi model, or phi-nano`,
    { details: { base: name } },
  );
}
async function openBase(name) {
  const path = name === phiNano.name ? fileURLToPath(phiNano.folder) : name;
  if ((await kindOf(path)) !== 'folder') throw notFound(name);
  const file = join2(path, 'config.json');
  if ((await kindOf(file)) !== 'file')
    throw new QLoraError9(
      'BASE_CONFIG_MISSING',
      `${path} has no config.json; give the folder of a Hugging Face model (weights, config.json, tokenizer.json)`,
      { details: { folder: path } },
    );
  const rawConfig = await readJson(file);
  const config = parsePhiConfig(rawConfig, file);
  const quantization = rawConfig.quantization_config ?? null;
  if (quantization !== null) parseQuantizationConfig(quantization);
  const quantized = quantization !== null;
  return { name, path, source: folderSource(path), config, quantized };
}

// src/report/progress.ts
import { createLogUpdate } from 'log-update';

var WIDTH = 24;
var MILLISECONDS_BETWEEN = 80;
function bar(share) {
  const full = Math.round(Math.max(0, Math.min(1, share)) * WIDTH);
  return '\u2501'.repeat(full) + '\u2500'.repeat(WIDTH - full);
}
var SILENT = { show: () => {}, clear: () => {} };
function createProgress(ui) {
  if (ui.quiet || !process.stderr.isTTY) return SILENT;
  const update = createLogUpdate(process.stderr, { showCursor: true });
  let last = 0;
  let shown = false;
  const clear = () => {
    if (shown) update.clear();
    shown = false;
  };
  ui.beforeLine = clear;
  return {
    show(text2, share) {
      const now = performance.now();
      if (now - last < MILLISECONDS_BETWEEN && share < 1) return;
      last = now;
      update(`${bar(share)} ${String(Math.floor(share * 100)).padStart(3)} %  ${text2}`);
      shown = true;
    },
    clear,
  };
}

// src/model/embedding-shape.ts
function embeddingShape(config) {
  return { vocabSize: config.vocabSize, hiddenSize: config.hiddenSize, tied: false };
}

// src/model/load-model.ts
import { loadPhi } from '@qlorajs/phi2-model';
import { openCheckpoint } from '@qlorajs/safetensors';

// src/report/format.ts
function formatBytes(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const step = bytes < 1e3 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1e3 ** step;
  return `${step === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[step]}`;
}
function formatDuration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const pad = (value) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const tail = pad(whole % 60);
  return hours > 0 ? `${hours}:${pad(minutes)}:${tail}` : `${minutes}:${tail}`;
}
function formatCount(count) {
  return count.toLocaleString('en-US');
}
function formatRate(value) {
  return value !== 0 && Math.abs(value) < 1e-3
    ? value.toExponential(2)
    : String(Number(value.toPrecision(4)));
}

// src/model/load-model.ts
function openWeights(base) {
  return openCheckpoint(base.source);
}
async function loadModel(args) {
  const { backend, base, weights, hold, ui, progress, signal } = args;
  const started = performance.now();
  try {
    const model = await loadPhi(backend, base.config, weights, {
      quantize: hold.loadIn4bit ? { doubleQuant: hold.bnb4bitUseDoubleQuant } : null,
      onTensor: (done, total) => progress.show(`loading ${base.name}`, done / total),
      signal,
    });
    const { peakHostBytes, quantized } = model.report;
    const seconds = ((performance.now() - started) / 1e3).toFixed(1);
    ui.info(
      `base ${base.name}: ${base.config.layers} layers, ${formatBytes(model.weightBytes)} on ${backend.name}, ${quantized} linear layers in NF4 (${seconds} s)`,
    );
    ui.detail(
      `  NF4 weights ${formatBytes(model.quantizedBytes)}; peak of extra host memory while loading ${formatBytes(peakHostBytes)}; resident ${formatBytes(process.memoryUsage.rss())}`,
    );
    return model;
  } finally {
    progress.clear();
  }
}

// src/model/system-prompt.ts
import { join as join3 } from 'path';

var CONFIG_FILE = 'tokenizer_config.json';
var KEY = 'default_system_prompt';
function commonSystemPrompt(rows) {
  const prompts = new Set(
    rows.map((row) =>
      row.kind === 'chat' && row.messages[0].role === 'system' ? row.messages[0].content : null,
    ),
  );
  const [prompt] = prompts;
  return prompts.size === 1 ? (prompt ?? null) : null;
}
function withSystemPrompt(files, prompt) {
  const config = files[CONFIG_FILE];
  if (prompt === null || config === void 0) return { ...files };
  const { ...entries } = JSON.parse(config);
  const sorted = Object.entries({ ...entries, [KEY]: prompt }).sort(([a], [b]) => (a < b ? -1 : 1));
  const text2 = `${JSON.stringify(Object.fromEntries(sorted), null, 2)}
`;
  return { ...files, [CONFIG_FILE]: text2 };
}
async function readSystemPrompt(folder) {
  const path = join3(folder, CONFIG_FILE);
  if ((await kindOf(path)) !== 'file') return void 0;
  const prompt = (await readJson(path))?.[KEY];
  return typeof prompt === 'string' ? prompt : void 0;
}

import { loadTokenizer } from '@qlorajs/tokenizer';
// src/model/tokenizer-files.ts
import { join as join4 } from 'path';

async function textIfThere(folder, file) {
  const path = join4(folder, file);
  return (await kindOf(path)) === 'file' ? readText(path) : void 0;
}
async function readTokenizer(folder) {
  const tokenizerJson = await textIfThere(folder, 'tokenizer.json');
  if (tokenizerJson === void 0) return null;
  return loadTokenizer({
    tokenizerJson,
    tokenizerConfig: await textIfThere(folder, 'tokenizer_config.json'),
    chatTemplate: await textIfThere(folder, 'chat_template.jinja'),
  });
}

// src/model/session.ts
async function readAdapterFolder(path, ui) {
  const files = await readPeftAdapter(folderSource(path));
  for (const key of files.warnings)
    ui.warn(`${path}/adapter_config.json: unknown key ${key} is ignored, as PEFT does`);
  return { path, files };
}
async function baseOf(base, adapters) {
  if (base !== void 0) return openBase(base);
  const recorded = new Set(adapters.map(({ files }) => files.config.baseModelNameOrPath));
  const [name] = recorded;
  if (recorded.size === 1 && typeof name === 'string') return openBase(name);
  throw new QLoraError10(
    'BASE_UNKNOWN',
    adapters.length === 0
      ? '--base DIR|phi-nano is missing (or give --adapter DIR, which records its base)'
      : `the adapters record ${[...recorded].map((each) => JSON.stringify(each)).join(' and ')} as their base; say which with --base`,
  );
}
async function voiceOf(base, folder, adapter2, name) {
  const ofBase = await readTokenizer(base.path);
  const own = folder === null ? null : await readTokenizer(folder.path);
  const tokenizer = own ?? ofBase;
  if (tokenizer === null)
    throw new QLoraError10(
      'TOKENIZER_MISSING',
      `${folder?.path ?? base.path} has no tokenizer.json, and text must become tokens; copy the tokenizer files of the base into it`,
      { details: { folder: base.path } },
    );
  const format = ownFormat(tokenizer) ?? (ofBase === null ? null : ownFormat(ofBase));
  const systemPrompt = folder === null ? void 0 : await readSystemPrompt(folder.path);
  return { name, adapter: adapter2, tokenizer, format, systemPrompt };
}
function names(folders) {
  const short = folders.map(({ path }) => basename(resolve(path)));
  return short.map((name, i) =>
    short.indexOf(name) === short.lastIndexOf(name) ? name : folders[i].path,
  );
}
async function openSession(options, adapterPaths, ui, signal) {
  const folders = [];
  for (const path of adapterPaths) folders.push(await readAdapterFolder(path, ui));
  const base = await baseOf(options.base, folders);
  const backend = await openBackend(options);
  try {
    const weights = await openWeights(base);
    const model = await loadModel({
      ...{ backend, base, weights, ui, signal },
      hold: options,
      progress: createProgress(ui),
    });
    await weights.close();
    const embedding = embeddingShape(base.config);
    const called = names(folders);
    const voices = [];
    for (const [i, folder] of folders.entries()) {
      const adapter2 = loadAdapter(backend, folder.files, model.modules, { embedding });
      voices.push(await voiceOf(base, folder, adapter2, called[i]));
    }
    if (voices.length === 0) voices.push(await voiceOf(base, null, null, base.name));
    model.attach(voices[0].adapter);
    return { backend, base, model, voices, close: () => backend.dispose() };
  } catch (error) {
    await backend.dispose();
    throw error;
  }
}

// src/options/generation-options.ts
var generationOptions = {
  system: optional(
    anyText('TEXT'),
    "system message (default: the one the adapter was trained with; '' is none)",
  ),
  max_new_tokens: option(integer(1), 256, 'length limit of an answer'),
  temperature: option(number(0), 0, '0 always takes the likeliest token'),
  top_p: option(number(0, 1), 1, 'nucleus: keep this much probability'),
  top_k: option(integer(0), 0, 'keep so many tokens; 0: all'),
  repetition_penalty: option(number(0.01), 1, 'above 1 discourages what was said before'),
  seed: option(integer(0, 2 ** 32 - 1), 42, 'of the draws'),
};

// src/report/interrupt.ts
function onInterrupt(notice) {
  const controller = new AbortController();
  const signals = ['SIGINT', 'SIGTERM'];
  const dispose = () => {
    for (const each of signals) process.off(each, handler);
  };
  const handler = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
    notice();
    setImmediate(dispose);
  };
  for (const each of signals) process.on(each, handler);
  return { signal: controller.signal, dispose };
}

// src/verbs/verb.ts
function verb(definition) {
  return definition;
}

// src/verbs/ask.ts
var ask = verb({
  name: 'ask',
  summary: 'one answer, streamed',
  argument: { name: 'question', describe: 'what to ask' },
  options: {
    ...optionalBaseOption,
    ...adapterOption,
    ...generationOptions,
    ...quantizationOptions,
    ...backendOptions,
  },
  async run(options, ui, text2) {
    const { signal, dispose } = onInterrupt(() => ui.info('stopping; once more ends at once'));
    const adapters = options.adapter === void 0 ? [] : [options.adapter];
    const session = await openSession(options, adapters, ui, signal);
    try {
      const [voice] = session.voices;
      if (voice.format === null)
        ui.info(`${voice.name} has no chat template: the text is continued as it is`);
      const messages = [...systemMessage(voice, options.system), { role: 'user', content: text2 }];
      const ids = tokensOf(voice, messages);
      const onText = (piece) => ui.print(piece);
      const result = await answer(session.model, voice, ids, options, { signal, onText });
      ui.print('\n');
      ui.detail(
        `${result.prompt_tokens} + ${result.tokens} tokens, ${result.tokens_per_second.toFixed(1)} tokens/s, ended by ${result.finish_reason}`,
      );
      if (result.finish_reason === 'context')
        ui.warn(
          `the context of ${session.model.config.maxPositions} tokens is full: the answer was cut`,
        );
      ui.result({ base: session.base.name, adapter: options.adapter ?? null, ...result });
      return result.finish_reason === 'aborted' ? EXIT.interrupted : EXIT.done;
    } finally {
      dispose();
      await session.close();
    }
  },
});

// src/model/conversation.ts
import { QLoraError as QLoraError11 } from '@qlorajs/errors';
import { Decoder as Decoder2 } from '@qlorajs/phi2-model';
// src/verbs/chat.ts
import { createInterface } from 'readline';

function commonPrefix(a, b) {
  const end = Math.min(a.length, b.length);
  let i = 0;
  while (i < end && a[i] === b[i]) i++;
  return i;
}
var Conversation = class {
  #session;
  #system;
  #decoder;
  /** What the decoder holds. */
  #held = [];
  #messages = [];
  #voice;
  constructor(session, system) {
    this.#session = session;
    this.#system = system;
    this.#decoder = new Decoder2(session.model);
    this.#voice = session.voices[0];
  }
  get voice() {
    return this.#voice;
  }
  /** Forgets everything but the system message. */
  reset() {
    this.#messages = [];
  }
  /** Another voice goes on with the same conversation. @throws QLoraError `CHAT_VOICE` */
  use(name) {
    const { voices, model } = this.#session;
    const voice = voices.find((each) => each.name === name);
    if (voice === void 0) {
      const names2 = voices.map((each) => each.name);
      throw new QLoraError11(
        'CHAT_VOICE',
        `no adapter is called "${name}"; the nearest is "${nearest(name, names2)}" of ${names2.join(', ')}`,
      );
    }
    model.attach(voice.adapter);
    this.#voice = voice;
    this.#held = [];
  }
  /** Drops the oldest exchanges until the prompt leaves room for an answer. */
  #fit(settings3) {
    const { capacity } = this.#decoder;
    const room = capacity - Math.min(settings3.maxNewTokens, Math.floor(capacity / 4));
    const tokens = () =>
      tokensOf(this.#voice, [...systemMessage(this.#voice, this.#system), ...this.#messages]);
    let ids = tokens();
    let forgotten = 0;
    while (ids.length > room && this.#messages.length > 2) {
      this.#messages.splice(0, 2);
      forgotten++;
      ids = tokens();
    }
    return { ids, forgotten };
  }
  /** One turn. When it fails the user's message is taken back. */
  async say(text2, settings3, context) {
    this.#messages.push({ role: 'user', content: text2 });
    try {
      const { ids, forgotten } = this.#fit(settings3);
      const kept = Math.min(commonPrefix(this.#held, ids), ids.length - 1);
      this.#decoder.truncate(kept);
      this.#held = ids.slice(0, kept);
      const said = [];
      const result = await answer(this.#session.model, this.#voice, ids.slice(kept), settings3, {
        ...context,
        decoder: this.#decoder,
        onToken: (id) => said.push(id),
      });
      this.#held = [...ids, ...said].slice(0, this.#decoder.length);
      this.#messages.push({ role: 'assistant', content: result.answer });
      return { ...result, prompt_tokens: ids.length, forgotten };
    } catch (error) {
      this.#messages.pop();
      throw error;
    }
  }
  dispose() {
    this.#decoder.dispose();
  }
};

// src/verbs/chat.ts
var HELP = '/reset forgets the conversation, /use NAME changes the adapter, /exit leaves';
var Console = class {
  interactive = process.stdin.isTTY === true;
  #lines = createInterface({
    input: process.stdin,
    output: this.interactive ? process.stderr : void 0,
  });
  #answering = null;
  interrupted = false;
  constructor() {
    const interrupt = () => {
      if (this.#answering) return this.#answering.abort();
      this.interrupted = true;
      this.#lines.close();
    };
    this.#lines.on('SIGINT', interrupt);
    process.on('SIGINT', interrupt);
  }
  async *lines() {
    this.#ask();
    for await (const line of this.#lines) {
      if (line.trim() !== '') yield line.trim();
      this.#ask();
    }
  }
  #ask() {
    if (!this.interactive) return;
    this.#lines.setPrompt(paint('bold', 'you> ', process.stderr));
    this.#lines.prompt();
  }
  async during(work) {
    this.#answering = new AbortController();
    try {
      return await work(this.#answering.signal);
    } finally {
      this.#answering = null;
    }
  }
  close() {
    this.#lines.close();
  }
};
function command(line, conversation, ui) {
  const [name, ...rest] = line.split(/\s+/);
  if (name === '/reset') {
    conversation.reset();
    ui.info('the conversation starts anew');
    return true;
  }
  if (name !== '/use') return false;
  conversation.use(rest.join(' '));
  ui.info(`${conversation.voice.name} answers from here on`);
  return true;
}
function notices(turn3, context, ui) {
  if (turn3.forgotten > 0)
    ui.warn(
      `the context of ${context} tokens was full: the oldest ${turn3.forgotten} exchanges are forgotten`,
    );
  if (turn3.finish_reason === 'context')
    ui.warn(`the context of ${context} tokens is full: the answer was cut; /reset starts anew`);
  if (turn3.finish_reason === 'length') ui.info('(cut at --max-new-tokens)');
}
async function talk(terminal, conversation, settings3, ui) {
  const turns = [];
  for await (const line of terminal.lines()) {
    if (line === '/exit') break;
    try {
      if (line.startsWith('/')) {
        if (!command(line, conversation, ui)) ui.warn(`${line} is no command; ${HELP}`);
        continue;
      }
      const onText = (piece) => ui.print(piece);
      const turn3 = await terminal.during((signal) =>
        conversation.say(line, settings3, { signal, onText }),
      );
      ui.print('\n');
      notices(turn3, settings3.context, ui);
      turns.push({ voice: conversation.voice.name, question: line, ...turn3 });
    } catch (error) {
      if (!terminal.interactive) throw error;
      ui.warn(error.message);
    }
  }
  return turns;
}
var chat = verb({
  name: 'chat',
  summary: 'a conversation; each line of stdin is a turn',
  options: {
    ...optionalBaseOption,
    ...adaptersOption,
    ...generationOptions,
    ...quantizationOptions,
    ...backendOptions,
  },
  async run(options, ui) {
    const session = await openSession(options, options.adapter ?? [], ui);
    const conversation = new Conversation(session, options.system);
    const terminal = new Console();
    try {
      if (terminal.interactive)
        ui.info(
          `${session.voices.map(({ name }) => name).join(', ')} on ${session.base.name}. ${HELP}`,
        );
      const context = session.model.config.maxPositions;
      const turns = await talk(terminal, conversation, { ...options, context }, ui);
      ui.result({ base: session.base.name, turns });
      return terminal.interrupted ? EXIT.interrupted : EXIT.done;
    } finally {
      terminal.close();
      await session.close();
    }
  },
});

// src/verbs/data-check.ts
import {
  datasetStatistics,
  formatRowError as formatRowError2,
  markTrained,
  readJsonl as readJsonl2,
  tokenizeRows as tokenizeRows2,
} from '@qlorajs/dataset';
import { QLoraError as QLoraError14 } from '@qlorajs/errors';

// src/options/training-options.ts
var adapter = {
  r: option(integer(1), 16, 'rank of the adapter'),
  lora_alpha: option(number(), 32, 'numerator of its scaling'),
  lora_dropout: option(number(0, 0.99), 0.05, "dropout on the adapter's inputs"),
  target_modules: option(
    modules,
    ['q_proj', 'k_proj', 'v_proj', 'dense'],
    'linear layers that get an adapter; all-linear, or a regular expression',
  ),
  use_rslora: option(toggle, false, 'scale by alpha / sqrt(r)'),
  init_adapter: optional(text('DIR'), 'PEFT folder to start from; its rank and targets hold'),
  train_added_tokens: option(
    toggle,
    true,
    'train the embedding and head rows of tokens that the chat format adds',
  ),
};
var data = {
  chat_template: optional(
    text('FILE|tutor|base'),
    "chat format (default: the base's own, else tutor)",
  ),
  max_seq_length: optional(
    integer(2),
    'longest row in tokens (default: the context, 1024 at most)',
  ),
  truncation: option(
    choice('error', 'drop', 'truncate'),
    'error',
    'what happens to longer rows; truncate may cut the stop token',
  ),
  packing: option(toggle, false, 'several rows in one sequence, blind to each other'),
  train_on: option(choice('assistant', 'all'), 'assistant', 'which tokens carry the loss'),
  shuffle: option(toggle, true, 'another order every epoch'),
  eval_data: optional(text('FILE'), 'JSONL that is only evaluated'),
  eval_split: optional(number(0), 'hold out so many rows, or below 1 that share of them'),
};
var optimization = {
  learning_rate: option(number(0), 2e-4, 'peak of the schedule'),
  lr_scheduler_type: option(choice('linear', 'cosine', 'constant'), 'linear', 'its shape'),
  warmup_steps: option(integer(0), 0, 'steps of a linear warm-up'),
  warmup_ratio: option(number(0, 1), 0, 'or the share of all steps'),
  num_train_epochs: option(number(0), 3, 'passes over the data; may be a fraction'),
  max_steps: option(integer(-1), -1, 'above 0 it overrides the epochs'),
  per_device_train_batch_size: option(integer(1), 4, 'rows of a micro-batch'),
  gradient_accumulation_steps: option(integer(1), 1, 'micro-batches of an optimizer step'),
  max_grad_norm: option(number(0), 1, 'gradients are clipped to this norm; 0: never'),
  weight_decay: option(number(0), 0, 'of AdamW, on the adapter'),
  adam_beta1: option(number(0, 1), 0.9, 'decay of the first moment'),
  adam_beta2: option(number(0, 1), 0.999, 'decay of the second moment'),
  adam_epsilon: option(number(0), 1e-8, "AdamW's epsilon"),
  optim: option(
    choice('adamw', 'paged_adamw_32bit', 'paged_adamw_8bit'),
    'adamw',
    'optimizer; 8-bit states are not in this version',
  ),
  gradient_checkpointing: option(
    toggle,
    true,
    'keep one block of activations and compute the others again',
  ),
  seed: option(integer(0, 2 ** 32 - 1), 42, 'of the initial adapter, the order and the dropout'),
};
var logging = {
  logging_steps: option(integer(1), 1, 'steps between two logged ones'),
  eval_steps: option(integer(0), 0, 'steps between two evaluations; 0: at the end'),
  early_stopping_patience: option(integer(0), 0, 'evaluations without a new best; 0: never stop'),
  save_steps: option(integer(0), 500, 'steps between two checkpoints; 0: none'),
  save_total_limit: optional(integer(1), 'checkpoints to keep, the newest'),
  resume_from_checkpoint: optional(text('DIR|auto'), 'go on from a checkpoint of this run'),
  report_to: option(
    choice('none', 'tensorboard', 'jsonl'),
    'jsonl',
    'train_log.jsonl is always there',
  ),
  overwrite: option(toggle, false, 'replace the earlier run in --out'),
  vram_budget: optional(text('SIZE'), 'not in this version'),
};
var trainingOptions = {
  ...baseOption,
  data: required(text('FILE'), 'JSONL to learn from'),
  out: required(text('DIR'), 'folder for the adapter'),
  ...adapter,
  ...data,
  ...optimization,
  ...logging,
  ...quantizationOptions,
  ...backendOptions,
};

// src/training/batch-source.ts
import { collate, pack, shuffledOrder } from '@qlorajs/dataset';
// src/training/data.ts
import { QLoraError as QLoraError13 } from '@qlorajs/errors';

function realTokens(batch) {
  return batch.lengths.reduce((sum2, length) => sum2 + length, 0);
}
function sourceOf(rows, batchSize, padId, orderOf) {
  return {
    batchesPerEpoch: Math.ceil(rows.length / batchSize),
    batches(epoch) {
      const ordered = Array.from(orderOf(epoch), (index) => rows[index]);
      return Array.from({ length: Math.ceil(rows.length / batchSize) }, (_, i) =>
        collate(ordered.slice(i * batchSize, (i + 1) * batchSize), { padId }),
      );
    },
    trainedTokens: (batch) => batch.trainedTokens,
    tokens: realTokens,
  };
}
function trainingBatches(examples, { batchSize, padId, packedLength, shuffleSeed }) {
  const rows = packedLength === null ? examples : pack(examples, { length: packedLength });
  const inOrder = rows.map((_, i) => i);
  return sourceOf(rows, batchSize, padId, (epoch) =>
    shuffleSeed === null ? inOrder : shuffledOrder(rows.length, shuffleSeed, epoch),
  );
}
function evaluationBatches(examples, { batchSize, padId }) {
  const inOrder = examples.map((_, i) => i);
  return sourceOf(examples, batchSize, padId, () => inOrder);
}
function splitExamples(examples, share, seed) {
  const count = share < 1 ? Math.round(share * examples.length) : Math.round(share);
  const order = shuffledOrder(examples.length, seed ^ 24093, 0);
  const held = new Set(order.subarray(0, count));
  return {
    kept: examples.filter((_, i) => !held.has(i)),
    held: examples.filter((_, i) => held.has(i)),
  };
}

// src/training/examples.ts
import { formatRowError, readJsonl, tokenizeRows } from '@qlorajs/dataset';
import { QLoraError as QLoraError12 } from '@qlorajs/errors';

function badRows(file, errors, ui) {
  ui.beforeLine?.();
  for (const error of errors)
    process.stderr.write(`${formatRowError(error)} [${error.code}]
`);
  return new QLoraError12(
    'DATASET_ROWS',
    `${file}: ${errors.length === 1 ? 'one row' : `${errors.length} rows`} cannot be used (listed above); mend them, nothing was written`,
    { details: { file, errors } },
  );
}
async function readRows(file, ui) {
  const { rows, errors } = readJsonl(await readBytes(file), { file });
  if (errors.length > 0) throw badRows(file, errors, ui);
  return rows;
}
function listed(lines) {
  return `${lines.slice(0, 8).join(', ')}${lines.length > 8 ? ' \u2026' : ''}`;
}
function tokenizeAll(rows, options, ui) {
  const dataset = tokenizeRows(rows, options);
  const { file, maxSeqLength: maxSeqLength2 } = options;
  if (dataset.errors.length > 0) throw badRows(file, dataset.errors, ui);
  const { dropped, truncated } = dataset;
  if (dropped.length > 0)
    ui.warn(
      `${file}: ${dropped.length} rows longer than ${maxSeqLength2} tokens are left out (lines ${listed(dropped)})`,
    );
  if (truncated.length > 0)
    ui.warn(
      `${file}: ${truncated.length} rows are cut at ${maxSeqLength2} tokens, stop token included (lines ${listed(truncated)})`,
    );
  if (dataset.examples.length === 0)
    throw new QLoraError12('DATASET_NO_ROWS', `${file}: no row is left to learn from`, {
      details: { file },
    });
  return dataset;
}

// src/training/data.ts
var DEFAULT_MAX_SEQ_LENGTH = 1024;
function addedIds({ format }) {
  return format?.addedIds ?? [];
}
function maxSeqLength(given, base) {
  const context = base.config.maxPositions;
  if (given !== void 0 && given > context)
    throw new QLoraError13(
      'OPTION_VALUE',
      `--max-seq-length ${given} is more than the context of ${base.name}, ${context} tokens`,
      { details: { option: 'max_seq_length', context } },
    );
  return given ?? Math.min(context, DEFAULT_MAX_SEQ_LENGTH);
}
async function chatFormat(tokenizer, rows, choice2, base) {
  if (tokenizer === null) return null;
  const hasChats = rows.some(({ kind }) => kind === 'chat');
  if (!hasChats && choice2 === void 0) return ownFormat(tokenizer);
  return chooseChatFormat(tokenizer, choice2, base.config.vocabSize);
}
async function prepareData(options, base, ui) {
  const limit = maxSeqLength(options.maxSeqLength, base);
  const rows = await readRows(options.data, ui);
  const evalRows = options.evalData === void 0 ? [] : await readRows(options.evalData, ui);
  const own =
    (options.initAdapter === void 0 ? null : await readTokenizer(options.initAdapter)) ??
    (await readTokenizer(base.path));
  const format = await chatFormat(own, [...rows, ...evalRows], options.chatTemplate, base);
  const tokenizer = format?.tokenizer ?? own;
  const tokenizeOptions = {
    tokenizer,
    template: format?.template ?? null,
    trainOn: options.trainOn,
    maxSeqLength: limit,
    truncation: options.truncation,
    vocabSize: base.config.vocabSize,
  };
  const all = tokenizeAll(rows, { ...tokenizeOptions, file: options.data }, ui).examples;
  const { kept, held } = splitExamples(all, options.evalSplit ?? 0, options.seed);
  const evaluated =
    options.evalData === void 0
      ? held
      : tokenizeAll(evalRows, { ...tokenizeOptions, file: options.evalData }, ui).examples;
  if (kept.length === 0)
    throw new QLoraError13(
      'OPTION_VALUE',
      `--eval-split ${options.evalSplit} leaves none of ${all.length} rows to learn from`,
    );
  const batching = {
    batchSize: options.perDeviceTrainBatchSize,
    padId: tokenizer?.padId ?? 0,
  };
  return {
    tokenizer,
    format,
    systemPrompt: commonSystemPrompt(rows),
    examples: kept.length,
    train: trainingBatches(kept, {
      ...batching,
      packedLength: options.packing ? limit : null,
      shuffleSeed: options.shuffle ? options.seed : null,
    }),
    evaluation: evaluated.length === 0 ? null : evaluationBatches(evaluated, batching),
  };
}

// src/verbs/data-check.ts
var { chat_template, max_seq_length, train_on } = trainingOptions;
function showExample(dataset, number2, tokenizer, ui) {
  const example = dataset.examples[number2 - 1];
  if (example === void 0)
    throw new QLoraError14(
      'OPTION_VALUE',
      `--show ${number2}: there are ${dataset.examples.length} examples`,
    );
  const mark = (piece) =>
    process.stdout.isTTY ? paint(['green', 'bold'], piece, process.stdout) : `[[${piece}]]`;
  const segments = markTrained(example, tokenizer);
  const marked = segments.map((each) => (each.trained ? mark(each.text) : each.text)).join('');
  ui.print(`
example ${number2} (line ${example.line}), trained tokens marked:
${marked}
`);
  return {
    line: example.line,
    input_ids: [...example.inputIds],
    labels: [...example.labels],
    segments,
  };
}
function printStatistics(statistics, limit, ui) {
  const { lengths, formats, roles } = statistics;
  const counts = (record) =>
    Object.entries(record)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  ui.print(`rows      ${formatCount(statistics.rows)} (${counts(formats)})
`);
  if (Object.keys(roles).length > 0)
    ui.print(`turns     ${counts(roles)}
`);
  ui.print(
    `tokens    ${formatCount(statistics.tokens)}, ${(100 * statistics.trainedShare).toFixed(1)} % of them trained
`,
  );
  if (lengths !== null)
    ui.print(
      `length    ${lengths.min} to ${lengths.max}, mean ${lengths.mean.toFixed(1)}, half up to ${lengths.p50}, 95 % up to ${lengths.p95}
`,
    );
  ui.print(
    `too long  ${statistics.tooLong} rows, ${(100 * statistics.tooLongShare).toFixed(1)} %, over max_seq_length ${limit}
`,
  );
}
var dataCheck = verb({
  name: 'data check',
  summary: 'validate a dataset: every bad row, token statistics, what is trained',
  argument: { name: 'file', describe: 'JSONL' },
  options: {
    base: option(text('DIR|phi-nano'), 'phi-nano', 'whose tokenizer and context count'),
    chat_template,
    max_seq_length,
    train_on,
    show: optional(integer(1), 'print this example with its trained tokens marked'),
  },
  async run(options, ui, file) {
    const base = await openBase(options.base);
    const limit = maxSeqLength(options.maxSeqLength, base);
    const { rows, errors: unreadable } = readJsonl2(await readBytes(file), { file });
    const own = await readTokenizer(base.path);
    const format =
      own && (await chooseChatFormat(own, options.chatTemplate, base.config.vocabSize));
    const dataset = tokenizeRows2(rows, {
      file,
      tokenizer: format?.tokenizer ?? null,
      template: format?.template ?? null,
      trainOn: options.trainOn,
      maxSeqLength: limit,
      truncation: 'truncate',
      // too long is counted, not an error
      vocabSize: base.config.vocabSize,
    });
    const errors = [...unreadable, ...dataset.errors].sort((a, b) => a.line - b.line);
    for (const error of errors)
      process.stderr.write(`${formatRowError2(error)} [${error.code}]
`);
    const statistics = datasetStatistics(rows, dataset, { maxSeqLength: limit });
    printStatistics(statistics, limit, ui);
    const shown =
      options.show !== void 0 && format !== null
        ? showExample(dataset, options.show, format.tokenizer, ui)
        : void 0;
    ui.print(
      errors.length === 0
        ? 'ok\n'
        : `${errors.length} bad rows (on stderr)
`,
    );
    ui.result({
      file,
      base: base.name,
      ok: errors.length === 0,
      errors,
      max_seq_length: limit,
      ...statistics,
      example: shown,
    });
    return errors.length === 0 ? 0 : 2;
  },
});

// src/verbs/doctor.ts
import { arch, cpus, freemem, platform, totalmem } from 'os';

async function tryWasm(threads) {
  try {
    const backend = await openBackend({ backend: 'wasm', threads });
    const { info } = backend;
    await backend.dispose();
    return { name: 'wasm', available: true, info };
  } catch (error) {
    return { name: 'wasm', available: false, reason: error.message };
  }
}
var doctor = verb({
  name: 'doctor',
  summary: 'what this machine offers, and what --backend auto takes',
  options: backendOptions,
  async run({ threads }, ui) {
    const wasm = await tryWasm(threads);
    const absent = ABSENT_BACKENDS.map((name) => ({
      name,
      available: false,
      reason: 'not in this version',
    }));
    const report = {
      node: process.version,
      platform: `${platform()} ${arch()}`,
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      threads: defaultThreads(),
      memory_bytes: { total: totalmem(), free: freemem() },
      backends: [wasm, ...absent],
      auto: wasm.available ? { backend: 'wasm', reason: AUTO_REASON } : null,
    };
    const lines = [
      `node     ${report.node} on ${report.platform}`,
      `cpu      ${report.cpu}, ${report.threads} threads`,
      `memory   ${formatBytes(totalmem())}, ${formatBytes(freemem())} free`,
      ...report.backends.map(
        ({ name, available, reason, info }) =>
          `${name.padEnd(8)} ${available ? `available ${JSON.stringify(info)}` : reason}`,
      ),
      `auto     takes ${report.auto ? `${report.auto.backend} (${AUTO_REASON})` : 'nothing: no backend works here'}`,
    ];
    ui.print(`${lines.join('\n')}
`);
    ui.result(report);
    return report.auto ? 0 : 1;
  },
});

import { QLoraError as QLoraError16 } from '@qlorajs/errors';
import { loadAdapter as loadAdapter2 } from '@qlorajs/lora';
import { safetensorsChunks } from '@qlorajs/safetensors';
// src/io/atomic.ts
import { rmSync } from 'fs';
import { mkdir, readdir, rename, rm, writeFile } from 'fs/promises';
// src/verbs/logits.ts
import { basename as basename2, dirname, dirname as dirname2, join as join5 } from 'path';

var unfinished = /* @__PURE__ */ new Set();
process.on('exit', () => {
  for (const path of unfinished) rmSync(path, { recursive: true, force: true });
});
function exitUnlessHandled() {
  if (process.listenerCount('SIGINT') === 1) process.exit(130);
}
function isTemporary(name) {
  return /^\..+\.tmp-\d+$/.test(name);
}
async function beside(path, work) {
  const temporary = join5(dirname(path), `.${basename2(path)}.tmp-${process.pid}`);
  unfinished.add(temporary);
  process.on('SIGINT', exitUnlessHandled);
  try {
    return await work(temporary);
  } finally {
    process.off('SIGINT', exitUnlessHandled);
    await rm(temporary, { recursive: true, force: true });
    unfinished.delete(temporary);
  }
}
async function writeWhole(path, content) {
  await withFile('write', path, () =>
    beside(path, async (temporary) => {
      await writeFile(temporary, content, { flush: true });
      await rename(temporary, path);
    }),
  );
}
async function writeFolderWhole(path, fill) {
  await withFile('write', path, () =>
    beside(path, async (temporary) => {
      await mkdir(temporary, { recursive: true });
      await fill(temporary);
      await rename(temporary, path);
    }),
  );
}
async function fillFolder(folder, files) {
  for (const [name, content] of Object.entries(files))
    await writeFile(join5(folder, name), content, { flush: true });
}
async function placeFiles(folder, last, fill) {
  await withFile('write', folder, () =>
    beside(join5(folder, 'files'), async (temporary) => {
      await mkdir(temporary, { recursive: true });
      await fill(temporary);
      const names2 = await readdir(temporary);
      for (const name of [...names2.filter((each) => each !== last), last])
        await rename(join5(temporary, name), join5(folder, name));
    }),
  );
}

// src/model/token-batch.ts
import { QLoraError as QLoraError15 } from '@qlorajs/errors';

function matrix(value, name, file) {
  const rows = value;
  const isMatrix =
    Array.isArray(value) &&
    rows.length > 0 &&
    rows.every((row) => Array.isArray(row) && row.length > 0 && row.every(Number.isSafeInteger));
  if (!isMatrix)
    throw new QLoraError15('IDS_FORMAT', `${file}: ${name} must be a list of lists of integers`, {
      details: { file, key: name },
    });
  const uneven = rows.findIndex((row) => row.length !== rows[0].length);
  if (uneven >= 0)
    throw new QLoraError15(
      'IDS_FORMAT',
      `${file}: row ${uneven} of ${name} has ${rows[uneven].length} entries, row 0 has ${rows[0].length}; pad on the right and give an attention_mask`,
      { details: { file, key: name, row: uneven } },
    );
  return rows;
}
function lengthOf(row, index, file) {
  const length = row.filter((bit) => bit === 1).length;
  const isRightPadded = row.every((bit, i) => bit === (i < length ? 1 : 0));
  if (isRightPadded && length > 0) return length;
  throw new QLoraError15(
    'IDS_MASK',
    `${file}: row ${index} of attention_mask must be ones followed by zeros; left padding and holes are not supported, move the padding to the right`,
    { details: { file, row: index } },
  );
}
function tokenBatch(json, file) {
  const { input_ids, attention_mask } = json ?? {};
  const ids = matrix(input_ids, 'input_ids', file);
  const [batchSize, length] = [ids.length, ids[0].length];
  let lengths = ids.map(() => length);
  if (attention_mask !== void 0) {
    const mask = matrix(attention_mask, 'attention_mask', file);
    if (mask.length !== batchSize || mask[0].length !== length)
      throw new QLoraError15(
        'IDS_MASK',
        `${file}: attention_mask is [${mask.length}, ${mask[0].length}], input_ids is [${batchSize}, ${length}]; they must have one shape`,
      );
    lengths = mask.map((row, i) => lengthOf(row, i, file));
  }
  return {
    inputIds: Int32Array.from(ids.flat()),
    lengths: Int32Array.from(lengths),
    batchSize,
    length,
  };
}

// src/verbs/logits.ts
var logits = verb({
  name: 'logits',
  summary: 'logits of token ids, as a safetensors file',
  options: {
    ...optionalBaseOption,
    ...adapterOption,
    ids: required(text('FILE.json'), 'input_ids [B,T] and, if rows are padded, attention_mask'),
    out: required(text('FILE.safetensors'), 'where f32 logits [B,T,V] go'),
    ...quantizationOptions,
    load_in_4bit: option(toggle, false, 'quantize the base (default: as the checkpoint is)'),
    ...backendOptions,
  },
  async run(options, ui) {
    const batch = tokenBatch(await readJson(options.ids), options.ids);
    if ((await kindOf(dirname2(options.out))) !== 'folder')
      throw new QLoraError16(
        'FILE_MISSING',
        `--out ${options.out}: there is no folder ${dirname2(options.out)}; make it first`,
      );
    const folder = options.adapter === void 0 ? null : await readAdapterFolder(options.adapter, ui);
    const base = await baseOf(options.base, folder === null ? [] : [folder]);
    const weights = await openWeights(base);
    const backend = await openBackend(options);
    try {
      const progress = createProgress(ui);
      const model = await loadModel({ backend, base, weights, hold: options, ui, progress });
      await weights.close();
      if (folder !== null) {
        const embedding = embeddingShape(base.config);
        model.attach(loadAdapter2(backend, folder.files, model.modules, { embedding }));
      }
      const shape = [batch.batchSize, batch.length, base.config.vocabSize];
      const values = await model.logits(batch);
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      await writeWhole(
        options.out,
        safetensorsChunks([{ name: 'logits', dtype: 'F32', shape }], () => bytes),
      );
      ui.print(`${options.out}: logits [${shape.join(', ')}] F32
`);
      ui.result({ out: options.out, tensor: 'logits', dtype: 'F32', shape });
      return 0;
    } finally {
      await backend.dispose();
    }
  },
});

// src/verbs/quantize.ts
import { QLoraError as QLoraError17, QLoraError as QLoraError18 } from '@qlorajs/errors';
// src/io/output-folder.ts
import {
  mkdir as mkdir2,
  readdir as readdir2,
  rm as rm2,
  rmdir,
  statfs,
  writeFile as writeFile2,
} from 'fs/promises';
import { dirname as dirname3, join as join6, resolve as resolve2 } from 'path';

async function missingFolders(path) {
  const missing = [];
  for (let each = path; (await kindOf(each)) === 'nothing'; each = dirname3(each))
    missing.unshift(each);
  return missing;
}
async function checkSpace(path, bytes) {
  const { bavail, bsize } = await statfs(path);
  if (bavail * bsize >= bytes) return;
  const mega = (value) => `${Math.ceil(value / 1e6)} MB`;
  throw new QLoraError17(
    'DISK_FULL',
    `${path}: the results take about ${mega(bytes)}, the disk has ${mega(bavail * bsize)} free; make room or give another --out`,
    { details: { path, needed: bytes, free: bavail * bsize } },
  );
}
async function checkContent(path, reuse, remedy) {
  const content = await withFile('read', path, () => readdir2(path));
  for (const name of content.filter(isTemporary))
    await rm2(join6(path, name), { recursive: true, force: true });
  const names2 = content.filter((name) => !isTemporary(name));
  if (names2.length === 0 || reuse) return;
  throw new QLoraError17(
    'OUTPUT_NOT_EMPTY',
    `${path} holds ${names2.length} files already (${names2.slice(0, 3).join(', ')} \u2026); ${remedy}`,
    { details: { path, names: names2 } },
  );
}
async function openOutput(path, options) {
  const made = await missingFolders(resolve2(path));
  const discardIfEmpty = async () => {
    for (const each of made.toReversed()) {
      try {
        await rmdir(each);
      } catch {
        return;
      }
    }
  };
  try {
    await withFile('make the folder', path, () => mkdir2(path, { recursive: true }));
    await checkContent(path, options.reuse, options.remedy);
    const probe = join6(path, `.probe.tmp-${process.pid}`);
    await withFile('write into', path, () => writeFile2(probe, 'probe'));
    await rm2(probe, { force: true });
    await checkSpace(path, options.bytes);
  } catch (error) {
    await discardIfEmpty();
    throw error;
  }
  return { path, discardIfEmpty };
}

import { checkTensors, phiModules, phiTensors } from '@qlorajs/phi2-model';
import { quantizeNf4, toBitsandbytes, toQuantizationConfig } from '@qlorajs/quant-nf4';
import { planShards, safetensorsChunks as safetensorsChunks2 } from '@qlorajs/safetensors';
// src/model/quantize-checkpoint.ts
// src/io/scratch-file.ts
import { copyFile, open as open2, rm as rm3, writeFile as writeFile3 } from 'fs/promises';
import { join as join7 } from 'path';

var ScratchFile = class _ScratchFile {
  #path;
  #handle;
  #size = 0;
  constructor(path, handle) {
    this.#path = path;
    this.#handle = handle;
  }
  static async create(path) {
    return new _ScratchFile(path, await open2(path, 'w+'));
  }
  async append(data2) {
    const bytes = new Uint8Array(data2.buffer, data2.byteOffset, data2.byteLength);
    const place = { offset: this.#size, length: bytes.length };
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done);
      done += bytesWritten;
    }
    this.#size += bytes.length;
    return place;
  }
  async read({ offset, length }) {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#handle.read(bytes, done, length - done, offset + done);
      if (bytesRead === 0) throw new Error(`${this.#path} ended early`);
      done += bytesRead;
    }
    return bytes;
  }
  /** Closes and deletes it. */
  async remove() {
    await this.#handle.close();
    await rm3(this.#path, { force: true });
  }
};

// src/model/quantize-checkpoint.ts
var COMPANIONS = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
];
var FLOAT_NAMES = {
  F16: 'float16',
  BF16: 'bfloat16',
};
async function quantizeWeight(name, weights, scratch, doubleQuant) {
  const { dtype, shape } = weights.tensors.get(name);
  const values = await weights.readFloat32(name);
  const tensor = quantizeNf4(values, {
    shape,
    name,
    dtype: FLOAT_NAMES[dtype] ?? 'float32',
    doubleQuant,
  });
  const entries = [];
  for (const [key, entry] of Object.entries(toBitsandbytes(name, tensor)))
    entries.push({ ...entry, name: key, place: await scratch.append(entry.data) });
  return entries;
}
async function quantizeCheckpoint(base, weights, folder, options) {
  checkTensors(base.config, weights.tensors, base.name);
  const linears = new Set(phiModules(base.config).map(({ name }) => `${name}.weight`));
  const names2 = [...phiTensors(base.config).keys()];
  const scratch = await ScratchFile.create(join7(folder, 'scratch'));
  try {
    const entries = /* @__PURE__ */ new Map();
    for (const [i, name] of names2.entries()) {
      const planned = linears.has(name)
        ? await quantizeWeight(name, weights, scratch, options.doubleQuant)
        : [{ ...weights.tensors.get(name), name, place: null }];
      for (const entry of planned) entries.set(entry.name, entry);
      options.onTensor((i + 1) / names2.length);
    }
    const infos = [...entries.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape }));
    const plan = planShards(infos);
    const bytesOf = (name) => {
      const { place } = entries.get(name);
      return place === null ? weights.readBytes(name) : scratch.read(place);
    };
    for (const { file, tensors } of plan.shards)
      await writeFile3(
        join7(folder, file),
        safetensorsChunks2(tensors, bytesOf, { format: 'pt' }),
        {
          flush: true,
        },
      );
    if (plan.index) await writeFile3(join7(folder, plan.index.file), plan.index.text);
    const companions = await copyCompanions(base, folder, options.doubleQuant);
    return {
      files: [...plan.shards.map(({ file }) => file), ...companions],
      bytes: plan.totalSize,
      quantized: linears.size,
    };
  } finally {
    await scratch.remove();
  }
}
async function copyCompanions(base, folder, doubleQuant) {
  const source = (await readText(join7(base.path, 'config.json'))).trimEnd();
  const quantization = JSON.stringify(toQuantizationConfig({ doubleQuant }), null, 2);
  const entry = `"quantization_config": ${quantization}`.replaceAll('\n', '\n  ');
  const config = `${source.slice(0, source.lastIndexOf('}')).trimEnd()},
  ${entry}
}
`;
  await writeFile3(join7(folder, 'config.json'), config);
  const copied = [];
  for (const file of COMPANIONS) {
    if ((await kindOf(join7(base.path, file))) !== 'file') continue;
    await copyFile(join7(base.path, file), join7(folder, file));
    copied.push(file);
  }
  return ['config.json', ...copied];
}

// src/verbs/quantize.ts
var { bnb_4bit_quant_type, bnb_4bit_use_double_quant } = quantizationOptions;
var quantize = verb({
  name: 'quantize',
  summary: 'a bitsandbytes 4-bit checkpoint of a base',
  options: {
    ...baseOption,
    out: required(text('DIR'), 'folder for the checkpoint'),
    bnb_4bit_quant_type,
    bnb_4bit_use_double_quant,
  },
  async run({ base: name, out, bnb4bitUseDoubleQuant: doubleQuant }, ui) {
    const base = await openBase(name);
    if (base.quantized)
      throw new QLoraError18(
        'BASE_QUANTIZED',
        `--base ${name} is a 4-bit checkpoint already; give the unquantized model`,
      );
    const weights = await openWeights(base);
    const progress = createProgress(ui);
    try {
      const bytes = [...weights.tensors.values()].reduce((sum2, each) => sum2 + each.byteLength, 0);
      const remedy = 'give another --out';
      const output = await openOutput(out, { bytes, reuse: false, remedy });
      let report;
      try {
        await placeFiles(out, 'config.json', async (folder) => {
          const onTensor = (share) => progress.show('quantizing', share);
          report = await quantizeCheckpoint(base, weights, folder, { doubleQuant, onTensor });
        });
      } finally {
        progress.clear();
        await output.discardIfEmpty();
      }
      ui.print(
        `${out}: ${report?.quantized} linear layers in NF4, ${formatBytes(report?.bytes ?? 0)}
`,
      );
      ui.result({ out, ...report });
      return 0;
    } finally {
      await weights.close();
    }
  },
});

import { QLoraError as QLoraError22 } from '@qlorajs/errors';
import { phiNano as phiNano2 } from '@qlorajs/phi-nano';
import { hasTutorFormat, quickstartQuestions, tutorDataset } from '@qlorajs/tutor-dataset';
// src/verbs/quickstart.ts
import { relative } from 'path';
import { fileURLToPath as fileURLToPath2 } from 'url';

// src/training/describe-job.ts
function describeJob(job, ui) {
  const {
    adapter: adapter2,
    options,
    optimizer,
    baseParameters,
    adapterParameters: trained,
    backend,
  } = job;
  const share = ((100 * trained) / (baseParameters + trained)).toFixed(4);
  const rows = [...adapter2.tokens.values()].map(
    ({ module, ids }) => `${ids.length} rows of ${module}`,
  );
  ui.info(
    `adapter: r ${adapter2.config.r} on ${adapter2.layers.size} layers${rows.map((each) => `, ${each}`).join('')}: ${formatCount(trained)} of ${formatCount(baseParameters + trained)} parameters are trained (${share} %)`,
  );
  const batch = `${options.perDeviceTrainBatchSize} x ${options.gradientAccumulationSteps}`;
  ui.info(`data: ${formatCount(job.examples)} examples, ${batch} rows a step`);
  ui.detail(
    `  optimizer state ${formatBytes(optimizer.stateBytes)}; ${formatBytes(backend.memory().live)} on ${backend.name} before the first step`,
  );
}

// src/training/added-rows.ts
import { counterKey, counterNormal, sizeOf } from '@qlorajs/compute';
import { createAdapter, loadAdapter as loadAdapter3 } from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import { phiTensors as phiTensors2 } from '@qlorajs/phi2-model';
import { toFloat32 } from '@qlorajs/safetensors';
// src/training/prepare.ts
import { join as join9 } from 'path';

var ROWS_AT_ONCE = 4096;
var NOISE = 0.1;
async function columnStatistics(weights, name, rows) {
  const { dtype, shape, byteLength } = weights.tensors.get(name);
  const [total, width] = shape;
  const rowBytes = byteLength / total;
  const [sum2, squares] = [new Float64Array(width), new Float64Array(width)];
  for (let start = 0; start < rows; start += ROWS_AT_ONCE) {
    const count = Math.min(ROWS_AT_ONCE, rows - start);
    const range = { offset: start * rowBytes, length: count * rowBytes };
    const values = toFloat32(await weights.readBytes(name, range), dtype);
    for (let i = 0; i < values.length; i++) {
      sum2[i % width] += values[i];
      squares[i % width] += values[i] * values[i];
    }
  }
  const mean = sum2.map((each) => each / rows);
  const deviation = squares.map((each, i) => Math.sqrt(Math.max(0, each / rows - mean[i] ** 2)));
  return { mean, deviation };
}
async function addedRows(weights, table2, known, count, seed) {
  const { mean, deviation } = await columnStatistics(weights, table2, known);
  const width = mean.length;
  const key = counterKey(seed, table2 === 'lm_head.weight' ? 20141 : 932845);
  return Float32Array.from(
    { length: count * width },
    (_, i) => mean[i % width] + NOISE * deviation[i % width] * counterNormal(key, i),
  );
}

// src/training/check-options.ts
import { QLoraError as QLoraError19 } from '@qlorajs/errors';

function wrong2(option2, message) {
  return new QLoraError19('OPTION_VALUE', message, { details: { option: option2 } });
}
function checkOptions(options) {
  const { evalData, evalSplit, optim, reportTo, vramBudget } = options;
  if (optim === 'paged_adamw_8bit')
    throw wrong2('optim', '--optim paged_adamw_8bit is not in this version; use adamw');
  if (reportTo === 'tensorboard')
    throw wrong2('report_to', '--report-to tensorboard is not in this version; use jsonl');
  if (vramBudget !== void 0)
    throw wrong2('vram_budget', '--vram-budget is not in this version; leave it out');
  if (evalData !== void 0 && evalSplit !== void 0)
    throw wrong2('eval_split', 'give --eval-data or --eval-split, not both');
  const evaluates = evalData !== void 0 || evalSplit !== void 0;
  if (options.earlyStoppingPatience > 0 && !(evaluates && options.evalSteps > 0))
    throw wrong2(
      'early_stopping_patience',
      '--early-stopping-patience needs --eval-steps and --eval-data or --eval-split',
    );
}

import { QLoraError as QLoraError20 } from '@qlorajs/errors';
import { openSafetensors, writeSafetensors } from '@qlorajs/safetensors';
// src/training/checkpoint.ts
import { readdir as readdir3, rm as rm4 } from 'fs/promises';
import { join as join8 } from 'path';

// src/training/trainer-state.ts
function sortedJson(value) {
  const sort = (_, each) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each;
  return `${JSON.stringify(value, sort, 2)}
`;
}
function formatTrainerState(figures2, options, summary) {
  const { best, entries, epoch, globalStep, tokensSeen } = figures2;
  const totalFlos = 6 * options.parameters * tokensSeen;
  return sortedJson({
    best_global_step: best?.step ?? null,
    best_metric: best?.loss ?? null,
    best_model_checkpoint: null,
    epoch,
    eval_steps: options.evalSteps,
    global_step: globalStep,
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: summary === null ? entries : [...entries, { ...summary, total_flos: totalFlos }],
    logging_steps: options.loggingSteps,
    max_steps: options.maxSteps,
    num_input_tokens_seen: tokensSeen,
    num_train_epochs: options.numTrainEpochs,
    save_steps: options.saveSteps,
    stateful_callbacks: {
      TrainerControl: {
        args: {
          should_epoch_stop: false,
          should_evaluate: false,
          should_log: false,
          should_save: true,
          should_training_stop: summary !== null,
        },
        attributes: {},
      },
    },
    total_flos: totalFlos,
    train_batch_size: options.batchSize,
    trial_name: null,
    trial_params: null,
  });
}
function parseTrainerState(text2) {
  const state = JSON.parse(text2);
  return {
    globalStep: state.global_step,
    epoch: state.epoch,
    tokensSeen: state.num_input_tokens_seen,
    best:
      state.best_metric === null ? null : { step: state.best_global_step, loss: state.best_metric },
    entries: state.log_history,
  };
}

// src/training/checkpoint.ts
var OPTIMIZER_FILE = 'optimizer.safetensors';
var STATE_FILE = 'trainer_state.json';
var ARGS_FILE = 'training_args.json';
async function checkpointSteps(out) {
  if ((await kindOf(out)) !== 'folder') return [];
  return (await readdir3(out))
    .flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}
async function writeCheckpoint(out, content, limit) {
  const folder = join8(out, `checkpoint-${content.step}`);
  const { step, tensors } = content.optimizer;
  const moments = Object.fromEntries(
    Object.entries(tensors).map(([name, data2]) => [
      name,
      { dtype: 'F32', shape: [data2.length], data: data2 },
    ]),
  );
  await rm4(folder, { recursive: true, force: true });
  await writeFolderWhole(folder, (temporary) =>
    fillFolder(temporary, {
      ...content.files,
      [OPTIMIZER_FILE]: writeSafetensors(moments, { step: String(step) }),
      [STATE_FILE]: content.trainerState,
      [ARGS_FILE]: `${JSON.stringify(content.args, null, 2)}
`,
    }),
  );
  const steps = await checkpointSteps(out);
  for (const old of steps.slice(0, Math.max(0, steps.length - (limit ?? steps.length))))
    await rm4(join8(out, `checkpoint-${old}`), { recursive: true, force: true });
  return folder;
}
async function findCheckpoint(choice2, out) {
  if (choice2 === 'auto') {
    const step = (await checkpointSteps(out)).at(-1);
    return step === void 0 ? null : join8(out, `checkpoint-${step}`);
  }
  for (const file of [OPTIMIZER_FILE, STATE_FILE, ARGS_FILE])
    if ((await kindOf(join8(choice2, file))) !== 'file')
      throw new QLoraError20(
        'CHECKPOINT_MISSING',
        `--resume-from-checkpoint ${choice2}: there is no ${file}; give a checkpoint-N folder that qlora train wrote, or auto`,
        { details: { folder: choice2, file } },
      );
  return choice2;
}
async function readCheckpoint(folder) {
  const file = await openSafetensors(await fileSource(join8(folder, OPTIMIZER_FILE)));
  try {
    const tensors = {};
    for (const name of file.tensors.keys()) tensors[name] = await file.readFloat32(name);
    return {
      folder,
      optimizer: { step: Number(file.metadata.step), tensors },
      figures: parseTrainerState(await readText(join8(folder, STATE_FILE))),
      args: await readJson(join8(folder, ARGS_FILE)),
    };
  } finally {
    await file.close();
  }
}

// src/training/lora-config.ts
import { defaultLoraConfig, matchTargets, rankAndScaling, unmatchedTargets } from '@qlorajs/lora';
import { phiModules as phiModules2 } from '@qlorajs/phi2-model';

function loraConfig(options, base, addedIds2, ui) {
  const trained = options.trainAddedTokens && addedIds2.length > 0;
  const config = defaultLoraConfig({
    r: options.r,
    loraAlpha: options.loraAlpha,
    loraDropout: options.loraDropout,
    targetModules: options.targetModules,
    useRslora: options.useRslora,
    baseModelNameOrPath: base.name,
    trainableTokenIndices: trained ? { embed_tokens: addedIds2, lm_head: addedIds2 } : null,
  });
  const modules2 = phiModules2(base.config);
  matchTargets(config, modules2);
  for (const name of unmatchedTargets(config, modules2))
    ui.warn(`target_modules: ${name} matches no linear layer of the base`);
  return config;
}
function adapterParameters(config, base) {
  const layers = matchTargets(config, phiModules2(base.config)).map(
    ({ name, inFeatures, outFeatures }) =>
      rankAndScaling(config, name).rank * (inFeatures + outFeatures),
  );
  const rows = Object.values(config.trainableTokenIndices ?? {}).map(
    (ids) => ids.length * base.config.hiddenSize,
  );
  return [...layers, ...rows].reduce((sum2, each) => sum2 + each, 0);
}

import { QLoraError as QLoraError21 } from '@qlorajs/errors';
// src/training/training-args.ts
import { createHash } from 'crypto';

var IDENTITY = [
  'base',
  'r',
  'loraAlpha',
  'loraDropout',
  'targetModules',
  'useRslora',
  'maxSeqLength',
  'truncation',
  'packing',
  'trainOn',
  'shuffle',
  'evalSplit',
  'perDeviceTrainBatchSize',
  'gradientAccumulationSteps',
  'loadIn4bit',
  'bnb4bitUseDoubleQuant',
  'seed',
  'optim',
];
var SCHEDULE = [
  'learningRate',
  'lrSchedulerType',
  'warmupSteps',
  'warmupRatio',
  'numTrainEpochs',
  'maxSteps',
];
function trainingArgs(options, data2) {
  const dataSha256 = createHash('sha256').update(data2).digest('hex');
  return { ...options, dataSha256 };
}
function changed(keys, saved, now) {
  const text2 = (value) => JSON.stringify(value) ?? 'unset';
  return keys
    .filter((key) => text2(saved[key]) !== text2(now[key]))
    .map((key) => `${key} was ${text2(saved[key])} and is ${text2(now[key])}`);
}
function checkSameRun(saved, now) {
  const problems = changed([...IDENTITY, 'dataSha256'], saved, now);
  if (problems.length > 0)
    throw new QLoraError21(
      'RESUME_MISMATCH',
      `this is not the run that the checkpoint belongs to: ${problems.join('; ')}; give the same options and data, or start anew without --resume-from-checkpoint`,
      { details: { problems } },
    );
  return changed(SCHEDULE, saved, now);
}

// src/training/prepare.ts
async function openRunFolder(options, checkpoint, parameters) {
  const { out, overwrite, resumeFromCheckpoint } = options;
  const isComplete = (await kindOf(join9(out, 'adapter_config.json'))) === 'file';
  const restarts = resumeFromCheckpoint === 'auto' && !isComplete;
  return openOutput(out, {
    // The adapter, and a checkpoint with two moments beside it.
    bytes: parameters * 4 * 5,
    reuse: overwrite || checkpoint !== null || restarts,
    remedy: 'give another --out, --overwrite, or --resume-from-checkpoint auto to go on with it',
  });
}
async function firstRows(config, weights, known, seed) {
  const rows = /* @__PURE__ */ new Map();
  for (const [module, ids] of Object.entries(config.trainableTokenIndices ?? {})) {
    const table2 = module === 'lm_head' ? 'lm_head.weight' : 'model.embed_tokens.weight';
    rows.set(module, await addedRows(weights, table2, known, ids.length, seed));
  }
  return rows;
}
async function startAdapter(model, { config, folder, rows }, seed, ui) {
  const embedding = embeddingShape(model.config);
  if (folder !== null) {
    const { files } = await readAdapterFolder(folder, ui);
    return loadAdapter3(model.backend, files, model.modules, { embedding });
  }
  const tokenRows = (module) => rows.get(module);
  return createAdapter(model.backend, config, model.modules, { seed, embedding, tokenRows });
}
async function resumedRun(options, args, ui) {
  if (options.resumeFromCheckpoint === void 0) return null;
  const folder = await findCheckpoint(options.resumeFromCheckpoint, options.out);
  if (folder === null) {
    ui.info(`${options.out} has no checkpoint: the run starts at its beginning`);
    return null;
  }
  const saved = await readCheckpoint(folder);
  for (const difference of checkSameRun(saved.args, args)) ui.warn(`resumed run: ${difference}`);
  ui.info(`going on after step ${saved.figures.globalStep} of ${folder}`);
  return saved;
}
async function prepareTraining(options, ui, progress, signal) {
  checkOptions(options);
  const base = await openBase(options.base);
  const data2 = await prepareData(options, base, ui);
  const config = loraConfig(options, base, addedIds(data2), ui);
  const args = trainingArgs(options, await readBytes(options.data));
  const resumed = await resumedRun(options, args, ui);
  const weights = await openWeights(base);
  const closers = [() => weights.close()];
  const close = async () => {
    for (const each of closers.splice(0)) await each();
  };
  try {
    const parameters = adapterParameters(config, base);
    const output = await openRunFolder(options, resumed?.folder ?? null, parameters);
    closers.push(() => output.discardIfEmpty());
    const backend = await openBackend(options);
    closers.push(() => backend.dispose());
    const known = (data2.tokenizer?.size ?? 0) - addedIds(data2).length;
    const rows = await firstRows(config, weights, known, options.seed);
    const model = await loadModel({ backend, base, weights, hold: options, ui, progress, signal });
    const folder = resumed?.folder ?? options.initAdapter ?? null;
    const adapter2 = await startAdapter(model, { config, folder, rows }, options.seed, ui);
    model.attach(adapter2);
    const optimizer = createAdamW(backend, adapter2.parameters(), {
      beta1: options.adamBeta1,
      beta2: options.adamBeta2,
      epsilon: options.adamEpsilon,
      weightDecay: options.weightDecay,
      maxGradNorm: options.maxGradNorm,
    });
    if (resumed !== null) optimizer.load(resumed.optimizer);
    const sizes = adapter2.parameters().map(({ value }) => value.size);
    return {
      ...{
        options,
        args,
        base,
        backend,
        model,
        adapter: adapter2,
        optimizer,
        output,
        resumed,
        close,
      },
      ...data2,
      baseParameters: sum([...phiTensors2(base.config).values()].map(sizeOf)),
      adapterParameters: sum(sizes),
    };
  } catch (error) {
    await close();
    throw error;
  }
}
function sum(values) {
  return values.reduce((total, each) => total + each, 0);
}

import { planSteps, train, warmupSteps } from '@qlorajs/trainer';
// src/training/run.ts
import { readdir as readdir4, rm as rm5 } from 'fs/promises';
import { basename as basename3, join as join11 } from 'path';
import { setImmediate as turn2 } from 'timers/promises';

// package.json
var package_default = {
  name: 'qlorajs',
  version: '0.1.0',
  description:
    'Fine-tune Microsoft Phi-2 with QLoRA from the command line: no Python, no CUDA, any CPU.',
  license: 'MIT',
  type: 'module',
  engines: {
    node: '>=20.19',
  },
  bin: {
    qlora: 'bin/qlora.js',
  },
  files: ['bin', 'dist', 'src', 'README.md', 'LICENSE'],
  publishConfig: {
    access: 'public',
    provenance: true,
  },
  scripts: {
    build: 'tsup',
    test: 'vitest run --root ../.. apps/cli/',
    typecheck: 'tsc -p .',
  },
  dependencies: {
    '@qlorajs/chat-template': 'workspace:^',
    '@qlorajs/compute': 'workspace:^',
    '@qlorajs/compute-wasm': 'workspace:^',
    '@qlorajs/dataset': 'workspace:^',
    '@qlorajs/errors': 'workspace:^',
    '@qlorajs/lora': 'workspace:^',
    '@qlorajs/paged-optim': 'workspace:^',
    '@qlorajs/phi-nano': 'workspace:^',
    '@qlorajs/phi2-model': 'workspace:^',
    '@qlorajs/quant-nf4': 'workspace:^',
    '@qlorajs/safetensors': 'workspace:^',
    '@qlorajs/tokenizer': 'workspace:^',
    '@qlorajs/trainer': 'workspace:^',
    '@qlorajs/tutor-dataset': 'workspace:^',
    commander: 'catalog:',
    'log-update': 'catalog:',
    yaml: 'catalog:',
  },
  devDependencies: {
    '@qlorajs/build': 'workspace:*',
  },
};

// src/version.ts
var VERSION = package_default.version;

// src/training/adapter-files.ts
import { exportPeftAdapter } from '@qlorajs/lora';

async function adapterFiles(job) {
  const { adapter: adapter2, base, tokenizer, format, systemPrompt } = job;
  const files = tokenizer?.files({
    chatTemplate: format?.template.source,
    modelMaxLength: base.config.maxPositions,
  });
  return {
    ...(await exportPeftAdapter(adapter2)),
    ...withSystemPrompt(files ?? {}, systemPrompt),
  };
}

// src/training/best-adapter.ts
var BestAdapter = class {
  #adapter;
  #values = null;
  constructor(adapter2) {
    this.#adapter = adapter2;
  }
  async remember() {
    const { backend } = this.#adapter;
    const values = [];
    for (const { value } of this.#adapter.parameters()) values.push(await backend.read(value));
    this.#values = values;
  }
  /** Puts the best values back, if there were any. */
  restore() {
    const { backend } = this.#adapter;
    for (const [i, { value }] of this.#adapter.parameters().entries())
      if (this.#values) backend.write(value, this.#values[i]);
  }
};

// src/training/history.ts
var NONE = { globalStep: 0, epoch: 0, tokensSeen: 0, best: null, entries: [] };
var History = class {
  #figures;
  #window = [];
  #loggingSteps;
  #memory;
  constructor(loggingSteps, memory, earlier = NONE) {
    this.#figures = { ...earlier };
    this.#loggingSteps = loggingSteps;
    this.#memory = memory;
  }
  get figures() {
    return this.#figures;
  }
  /** Takes a step; returns a record when it is one to log. */
  step(event) {
    const figures2 = this.#figures;
    this.#window.push(event);
    figures2.globalStep = event.step;
    figures2.epoch = event.epoch;
    figures2.tokensSeen += event.tokens;
    if (event.step % this.#loggingSteps !== 0 && event.step !== event.totalSteps) return null;
    return this.#flush();
  }
  /** Takes an evaluation; returns the entry of log_history. */
  evaluation(event) {
    const entry = {
      epoch: event.epoch,
      eval_loss: event.loss,
      eval_perplexity: event.perplexity,
      eval_runtime: event.seconds,
      eval_tokens_per_second: event.tokens / event.seconds,
      step: event.step,
    };
    const { best, entries } = this.#figures;
    this.#figures.entries = [...entries, entry];
    if (best === null || event.loss < best.loss)
      this.#figures.best = { step: event.step, loss: event.loss };
    return entry;
  }
  #flush() {
    const window = this.#window;
    this.#window = [];
    const last = window.at(-1);
    const sum2 = (of) => window.reduce((total, e) => total + of(e), 0);
    const record = {
      step: last.step,
      epoch: last.epoch,
      loss: sum2((e) => e.loss) / window.length,
      grad_norm: last.gradNorm,
      learning_rate: last.learningRate,
      tokens: sum2((e) => e.tokens),
      tokens_per_second: sum2((e) => e.tokens) / sum2((e) => e.seconds),
      memory_bytes: this.#memory(),
    };
    const { step, epoch, loss, grad_norm, learning_rate } = record;
    this.#figures.entries = [
      ...this.#figures.entries,
      { epoch, grad_norm, learning_rate, loss, step },
    ];
    return record;
  }
};

// src/training/loss-plot.ts
var WIDTH2 = 720;
var HEIGHT = 360;
var MARGIN = { left: 64, right: 16, top: 36, bottom: 44 };
function ticks(low, high) {
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(6)),
  );
}
function series(entries, key) {
  return entries
    .filter((entry) => Number.isFinite(entry[key]))
    .map((entry) => ({ step: entry.step, loss: entry[key] }));
}
function plotLosses(entries, title) {
  const training = series(entries, 'loss');
  const evaluation = series(entries, 'eval_loss');
  const all = [...training, ...evaluation];
  const losses = all.map(({ loss }) => loss);
  const low = Math.min(0, ...losses);
  const high = Math.max(1e-6, ...losses) * 1.05;
  const lastStep = Math.max(1, ...all.map(({ step }) => step));
  const x = (step) => MARGIN.left + (step / lastStep) * (WIDTH2 - MARGIN.left - MARGIN.right);
  const y = (loss) =>
    HEIGHT - MARGIN.bottom - ((loss - low) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const at = (value) => value.toFixed(1);
  const line = (points, colour) =>
    `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points.map(({ step, loss }) => `${at(x(step))},${at(y(loss))}`).join(' ')}"/>`;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH2} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH2}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${MARGIN.left}" y="20" font-size="14">${escapeXml(title)}</text>`,
    ...ticks(low, high).map(
      (value) =>
        `<line x1="${MARGIN.left}" x2="${WIDTH2 - MARGIN.right}" y1="${at(y(value))}" y2="${at(y(value))}" stroke="#ddd"/><text x="${MARGIN.left - 8}" y="${at(y(value) + 4)}" text-anchor="end">${value}</text>`,
    ),
    ...ticks(0, lastStep).map(
      (value) =>
        `<text x="${at(x(value))}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle">${value}</text>`,
    ),
    `<text x="${WIDTH2 / 2}" y="${HEIGHT - 8}" text-anchor="middle">step</text>`,
    `<text x="14" y="${HEIGHT / 2}" transform="rotate(-90 14 ${HEIGHT / 2})" text-anchor="middle">loss, nats a token</text>`,
    line(training, '#1f77b4'),
    ...(evaluation.length > 0 ? [line(evaluation, '#d62728')] : []),
    ...evaluation.map(
      ({ step, loss }) =>
        `<circle cx="${at(x(step))}" cy="${at(y(loss))}" r="3.5" fill="#d62728"/>`,
    ),
    `<text x="${WIDTH2 - MARGIN.right}" y="20" text-anchor="end"><tspan fill="#1f77b4">training</tspan>${evaluation.length > 0 ? ' <tspan fill="#d62728">evaluation</tspan>' : ''}</text>`,
    '</svg>',
  ];
  return `${parts.join('\n')}
`;
}
function escapeXml(text2) {
  return text2.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

// src/training/model-card.ts
function table(rows) {
  return ['| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join(
    '\n',
  );
}
function figures(summary) {
  const { evaluation } = summary;
  const share = (100 * summary.trainableParameters) / summary.allParameters;
  const held =
    evaluation &&
    `${evaluation.before === null ? '' : `${evaluation.before.toFixed(4)} before, `}${evaluation.after.toFixed(4)} after (perplexity ${Math.exp(evaluation.after).toFixed(2)})`;
  return table([
    ['examples', formatCount(summary.examples)],
    ['steps', `${summary.steps} (${summary.epochs.toFixed(2)} epochs)`],
    [
      'training loss',
      `${summary.firstLoss.toFixed(4)} at first, ${summary.lastLoss.toFixed(4)} at the end`,
    ],
    ...(held === null ? [] : [['held-out loss', held]]),
    ['tokens', `${formatCount(summary.tokens)} at ${summary.tokensPerSecond.toFixed(0)} a second`],
    ['time', formatDuration(summary.seconds)],
    ['trainable parameters', `${formatCount(summary.trainableParameters)} (${share.toFixed(4)} %)`],
    ['adapter', formatBytes(summary.adapterBytes)],
    [
      'peak memory',
      `${formatBytes(summary.peakBackendBytes)} on the ${summary.backend} backend, ${formatBytes(summary.peakResidentBytes)} of the process`,
    ],
  ]);
}
function settings(options) {
  const quantization = options.loadIn4bit
    ? `NF4${options.bnb4bitUseDoubleQuant ? ' with double quantization' : ''}`
    : 'none';
  const targets = [options.targetModules].flat().join(', ');
  const batch = options.perDeviceTrainBatchSize * options.gradientAccumulationSteps;
  return table([
    ['r, lora_alpha, lora_dropout', `${options.r}, ${options.loraAlpha}, ${options.loraDropout}`],
    ['target_modules', targets],
    ['quantization of the base', quantization],
    ['learning_rate', `${formatRate(options.learningRate)}, ${options.lrSchedulerType}`],
    ['rows an optimizer step', String(batch)],
    [
      'optim, weight_decay, max_grad_norm',
      `${options.optim}, ${options.weightDecay}, ${options.maxGradNorm}`,
    ],
    ['seed', String(options.seed)],
  ]);
}
function modelCard(base, options, summary, version) {
  const base_model = JSON.stringify(base.name);
  return `---
base_model: ${base_model}
library_name: peft
pipeline_tag: text-generation
tags:
- lora
- qlora
- qlorajs
---

# A LoRA adapter for ${base.name}

Trained with qlorajs ${version}.

## Figures

${figures(summary)}

![losses](loss.svg)

## Settings

${settings(options)}

## Use

\`\`\`sh
qlora ask --adapter THIS_FOLDER "\u2026"
\`\`\`

\`\`\`python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained(${base_model})
model = PeftModel.from_pretrained(base, "THIS_FOLDER")
tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")
\`\`\`
`;
}

// src/training/run-log.ts
import { appendFile } from 'fs/promises';
import { dirname as dirname4, join as join10 } from 'path';

var LOG_FILE = 'train_log.jsonl';
var RunLog = class {
  #path;
  #pending = null;
  constructor(out) {
    this.#path = join10(out, LOG_FILE);
  }
  /** An empty log; when a run is resumed, its lines up to the checkpoint's step. */
  async begin(resumedFrom) {
    if (resumedFrom === null) return writeWhole(this.#path, '');
    const source = join10(dirname4(resumedFrom.folder), LOG_FILE);
    const lines = (await kindOf(source)) === 'file' ? (await readText(source)).split('\n') : [];
    const kept = lines.filter((line) => stepOf(line) <= resumedFrom.step);
    await writeWhole(
      this.#path,
      kept
        .map(
          (line) => `${line}
`,
        )
        .join(''),
    );
  }
  /** Takes a step's record; it waits for an evaluation of the same step. */
  async record(record) {
    await this.flush();
    this.#pending = record;
  }
  /** Adds an evaluation to the record of its step. */
  amend(step, loss, perplexity) {
    if (this.#pending?.step === step)
      this.#pending = { ...this.#pending, eval_loss: loss, eval_perplexity: perplexity };
  }
  async flush() {
    const record = this.#pending;
    if (record === null) return;
    this.#pending = null;
    await withFile('write', this.#path, () =>
      appendFile(
        this.#path,
        `${JSON.stringify(record)}
`,
      ),
    );
  }
};
function stepOf(line) {
  try {
    return JSON.parse(line).step;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

// src/training/train-display.ts
var TrainDisplay = class {
  #ui;
  #progress;
  #memory;
  #seconds = 0;
  #steps = 0;
  #tokens = 0;
  constructor(ui, progress, memory) {
    this.#ui = ui;
    this.#progress = progress;
    this.#memory = memory;
  }
  /** Over all steps so far. */
  get tokensPerSecond() {
    return this.#tokens / Math.max(this.#seconds, 1e-9);
  }
  step(event, record) {
    this.#seconds += event.seconds;
    this.#steps++;
    this.#tokens += event.tokens;
    const left = ((event.totalSteps - event.step) * this.#seconds) / this.#steps;
    const speed = event.tokens / event.seconds;
    const text2 = [
      `step ${event.step}/${event.totalSteps}`,
      `loss ${event.loss.toFixed(4)}`,
      `lr ${formatRate(event.learningRate)}`,
      `${speed.toFixed(0)} tokens/s`,
      formatBytes(this.#memory()),
      `${formatDuration(left)} left`,
    ].join('  ');
    this.#progress.show(text2, event.step / event.totalSteps);
    if (event.skipped)
      this.#ui.warn(`step ${event.step}: the gradients were not finite, nothing was changed`);
    if (record !== null && !process.stderr.isTTY) this.#ui.info(text2);
  }
  evaluation(event) {
    this.#ui.info(
      `step ${event.step}  held-out loss ${event.loss.toFixed(4)}  perplexity ${event.perplexity.toFixed(2)}${event.best ? '  (best so far)' : ''}`,
    );
  }
  done() {
    this.#progress.clear();
  }
};

// src/training/run.ts
function trainable({ model, options }) {
  const { gradientCheckpointing } = options;
  return {
    async forwardBackward(batch, how) {
      const loss = await model.forwardBackward(batch, { ...how, gradientCheckpointing });
      await turn2();
      return loss;
    },
    async evaluate(batch) {
      const loss = await model.evaluate(batch);
      await turn2();
      return loss;
    },
  };
}
async function clearEarlierRun(out) {
  const names2 = /^(checkpoint-\d+|adapter_(config\.json|model\.safetensors)|train_log\.jsonl)$/;
  for (const name of await readdir4(out))
    if (names2.test(basename3(name)))
      await rm5(join11(out, name), { recursive: true, force: true });
}
var TrainingRun = class {
  #job;
  #ui;
  #history;
  #log;
  #display;
  #best;
  #state;
  #warmupSteps;
  #lastEvaluation = null;
  constructor(job, ui, progress) {
    const { options, backend, resumed, adapter: adapter2 } = job;
    const memory = () => backend.memory().peak;
    const plan = planSteps({
      batchesPerEpoch: job.train.batchesPerEpoch,
      gradientAccumulationSteps: options.gradientAccumulationSteps,
      epochs: options.numTrainEpochs,
      maxSteps: options.maxSteps,
    });
    this.#job = job;
    this.#ui = ui;
    this.#history = new History(options.loggingSteps, memory, resumed?.figures);
    this.#log = new RunLog(options.out);
    this.#display = new TrainDisplay(ui, progress, memory);
    this.#best = new BestAdapter(adapter2);
    this.#warmupSteps = warmupSteps(options.warmupSteps, options.warmupRatio, plan.totalSteps);
    this.#state = {
      maxSteps: plan.totalSteps,
      numTrainEpochs: options.numTrainEpochs,
      loggingSteps: options.loggingSteps,
      evalSteps: options.evalSteps,
      saveSteps: options.saveSteps,
      batchSize: options.perDeviceTrainBatchSize,
      parameters: job.baseParameters + job.adapterParameters,
    };
  }
  /**
   * Trains to the end or until the signal, and writes the folder.
   * @param lossBefore held-out loss before the first step, where it was measured
   */
  async run(signal, lossBefore = null) {
    const { options, resumed } = this.#job;
    const startStep = resumed?.figures.globalStep ?? 0;
    if (resumed === null && options.overwrite) await clearEarlierRun(options.out);
    await this.#log.begin(resumed && { folder: resumed.folder, step: startStep });
    const started = performance.now();
    try {
      const result = await this.#loop(startStep, signal);
      await this.#log.flush();
      this.#display.done();
      if (result.reason === 'aborted') return await this.#interrupted(result.steps, startStep);
      if (options.earlyStoppingPatience > 0) this.#best.restore();
      const seconds = (performance.now() - started) / 1e3;
      return {
        interrupted: false,
        reason: result.reason,
        summary: await this.#finish(seconds, result, lossBefore),
      };
    } finally {
      this.#display.done();
    }
  }
  async #loop(startStep, signal) {
    const { options, optimizer, train: source, evaluation } = this.#job;
    const events = train({
      model: trainable(this.#job),
      optimizer,
      train: source,
      evaluation: evaluation ?? void 0,
      learningRate: options.learningRate,
      schedule: options.lrSchedulerType,
      warmupSteps: this.#warmupSteps,
      epochs: options.numTrainEpochs,
      maxSteps: options.maxSteps,
      gradientAccumulationSteps: options.gradientAccumulationSteps,
      seed: options.seed,
      evalSteps: options.evalSteps,
      saveSteps: options.saveSteps,
      earlyStoppingPatience: options.earlyStoppingPatience,
      startStep,
      signal,
    });
    for (;;) {
      const next = await events.next();
      if (next.done) return next.value;
      await this.#take(next.value);
    }
  }
  async #take(event) {
    if (event.type === 'step') {
      const record = this.#history.step(event);
      if (record !== null) await this.#log.record(record);
      this.#display.step(event, record);
    } else if (event.type === 'evaluation') {
      this.#lastEvaluation = event;
      this.#history.evaluation(event);
      this.#log.amend(event.step, event.loss, event.perplexity);
      this.#display.evaluation(event);
      if (event.best && this.#job.options.earlyStoppingPatience > 0) await this.#best.remember();
    } else {
      await this.#log.flush();
      this.#ui.info(`step ${event.step}  saved ${await this.#checkpoint(event.step)}`);
    }
  }
  async #checkpoint(step) {
    const { options, optimizer, args } = this.#job;
    const content = {
      step,
      files: await adapterFiles(this.#job),
      optimizer: await optimizer.state(),
      trainerState: formatTrainerState(this.#history.figures, this.#state, null),
      args,
    };
    return writeCheckpoint(options.out, content, options.saveTotalLimit);
  }
  async #interrupted(step, startStep) {
    const checkpoint = step > startStep ? await this.#checkpoint(step) : null;
    return { interrupted: true, step, checkpoint };
  }
  async #finish(seconds, result, lossBefore) {
    const {
      options,
      base,
      backend,
      adapterParameters: adapterParameters2,
      baseParameters,
    } = this.#job;
    const { figures: figures2 } = this.#history;
    const losses = figures2.entries
      .filter((entry2) => 'loss' in entry2)
      .map((entry2) => entry2.loss);
    const restored = options.earlyStoppingPatience > 0 ? figures2.best?.loss : void 0;
    const after = restored ?? this.#lastEvaluation?.loss;
    const files = await adapterFiles(this.#job);
    const summary = {
      steps: figures2.globalStep,
      epochs: figures2.epoch,
      seconds,
      tokens: figures2.tokensSeen,
      tokensPerSecond: this.#display.tokensPerSecond,
      trainLoss: result.meanLoss,
      firstLoss: losses[0] ?? Number.NaN,
      lastLoss: losses.at(-1) ?? Number.NaN,
      evaluation: after === void 0 ? null : { before: lossBefore, after },
      examples: this.#job.examples,
      trainableParameters: adapterParameters2,
      allParameters: baseParameters + adapterParameters2,
      adapterBytes: files['adapter_model.safetensors'].length,
      peakBackendBytes: backend.memory().peak,
      peakResidentBytes: process.resourceUsage().maxRSS * 1024,
      backend: backend.name,
    };
    const entry = {
      epoch: figures2.epoch,
      step: figures2.globalStep,
      train_loss: summary.trainLoss,
      train_runtime: seconds,
      train_samples_per_second: (this.#job.examples * figures2.epoch) / seconds,
      train_steps_per_second: figures2.globalStep / seconds,
    };
    await placeFiles(options.out, 'adapter_config.json', (folder) =>
      fillFolder(folder, {
        ...files,
        'README.md': modelCard(base, options, summary, VERSION),
        'trainer_state.json': formatTrainerState(figures2, this.#state, entry),
        'loss.svg': plotLosses(figures2.entries, `${basename3(options.out)} on ${base.name}`),
      }),
    );
    return summary;
  }
};

// src/verbs/quickstart.ts
var ANSWER = { ...withDefaults(generationOptions, {}), maxNewTokens: 300 };
var quickstartOptions = {
  out: option(text('DIR'), 'tutor-algoritmos', 'folder for the adapter'),
  seed: trainingOptions.seed,
  max_steps: trainingOptions.max_steps,
  ...backendOptions,
};
function settings2(given) {
  return withDefaults(trainingOptions, {
    ...given,
    base: phiNano2.name,
    data: fileURLToPath2(tutorDataset.train),
    evalData: fileURLToPath2(tutorDataset.validation),
    overwrite: true,
    learningRate: 3e-3,
    lrSchedulerType: 'cosine',
    numTrainEpochs: 3,
    saveSteps: 0,
  });
}
async function answers(job, title, ui, signal) {
  const { model, format, tokenizer } = job;
  if (format === null || tokenizer === null)
    throw new QLoraError22('TOKENIZER_MISSING', 'phi-nano has lost its tokenizer', {
      kind: 'runtime',
    });
  const voice = {
    ...{ name: title, adapter: null, tokenizer, format },
    systemPrompt: tutorDataset.systemPrompt,
  };
  ui.print(`
${paint('bold', title, process.stdout)}
`);
  const texts2 = [];
  for (const question of quickstartQuestions) {
    ui.print(`
${paint('cyan', `\u2014 ${question}`, process.stdout)}
`);
    const system = { role: 'system', content: tutorDataset.systemPrompt };
    const ids = tokensOf(voice, [system, { role: 'user', content: question }]);
    const onText = (piece) => ui.print(piece);
    const result = await answer(model, voice, ids, ANSWER, { signal, onText });
    ui.print(result.finish_reason === 'stop' ? '\n' : ' \u2026\n');
    signal.throwIfAborted();
    texts2.push(result.answer);
  }
  return texts2;
}
async function heldOutLoss({ model, evaluation }) {
  let [lossSum, tokens] = [0, 0];
  for (const batch of evaluation?.batches(0) ?? []) {
    const loss = await model.evaluate(batch);
    lossSum += loss.lossSum;
    tokens += loss.tokens;
  }
  return lossSum / tokens;
}
function command2() {
  return process.env.npm_lifecycle_event === 'quickstart' ? 'npx qlora' : 'qlora';
}
async function tutor(options, ui, signal) {
  const progress = createProgress(ui);
  const started = performance.now();
  const job = await prepareTraining(options, ui, progress, signal);
  try {
    describeJob(job, ui);
    job.model.attach(null);
    const before = await answers(
      job,
      'Antes: el modelo base \xB7 Before: the base model',
      ui,
      signal,
    );
    job.model.attach(job.adapter);
    const lossBefore = await heldOutLoss(job);
    const outcome = await new TrainingRun(job, ui, progress).run(signal, lossBefore);
    if (outcome.interrupted) {
      ui.warn('interrupted');
      return EXIT.interrupted;
    }
    const after = await answers(job, 'Despu\xE9s: el tutor \xB7 After: the tutor', ui, signal);
    const { summary } = outcome;
    const lossAfter = summary.evaluation?.after ?? Number.NaN;
    const seconds = (performance.now() - started) / 1e3;
    const folder = relative(process.cwd(), options.out) || '.';
    const run2 = command2();
    ui.print(`
held-out loss ${lossBefore.toFixed(3)} \u2192 ${lossAfter.toFixed(3)} nats a token (perplexity ${Math.exp(lossBefore).toFixed(1)} \u2192 ${Math.exp(lossAfter).toFixed(2)})
${summary.steps} steps in ${formatDuration(summary.seconds)} at ${summary.tokensPerSecond.toFixed(0)} tokens/s, ${formatDuration(seconds)} in all
${options.out}/: a PEFT adapter of ${formatBytes(summary.adapterBytes)}

phi-nano muestra el camino; no es un tutor del que aprender. \xB7 phi-nano shows the way; do not learn from it.

Ahora \xB7 Next:
  ${run2} ask --adapter ${folder} "\xBFQu\xE9 es una cola?"
  ${run2} chat --adapter ${folder}
`);
    ui.result({
      out: options.out,
      questions: quickstartQuestions,
      before,
      after,
      after_in_tutor_format: after.map(hasTutorFormat),
      seconds,
      ...summary,
    });
    return EXIT.done;
  } finally {
    await job.close();
  }
}
var quickstart = verb({
  name: 'quickstart',
  summary: 'fine-tune the included phi-nano on the included chats and see the difference',
  options: quickstartOptions,
  async run(given, ui) {
    const { signal, dispose } = onInterrupt(() => ui.warn('stopping after this step'));
    try {
      return await tutor(settings2(given), ui, signal);
    } finally {
      dispose();
    }
  },
});

import { QLoraError as QLoraError23 } from '@qlorajs/errors';
// src/verbs/tokenize.ts
import { text as readAll } from 'stream/consumers';

var tokenize = verb({
  name: 'tokenize',
  summary: 'text on stdin to token ids',
  options: {
    base: option(text('DIR|phi-nano'), 'phi-nano', 'whose tokenizer'),
    ...adapterOption,
  },
  async run({ base, adapter: adapter2 }, ui) {
    const folder = adapter2 ?? (await openBase(base)).path;
    const tokenizer = await readTokenizer(folder);
    if (tokenizer === null)
      throw new QLoraError23('TOKENIZER_MISSING', `${folder} has no tokenizer.json`, {
        details: { folder },
      });
    const { ids } = tokenizer.encode(await readAll(process.stdin));
    ui.print(`${ids.join(' ')}
`);
    ui.result({ ids, tokens: ids.map((id) => tokenizer.tokenOf(id) ?? null), count: ids.length });
    return 0;
  },
});

// src/verbs/train.ts
var train2 = verb({
  name: 'train',
  summary: 'fine-tune a base with QLoRA and write a PEFT adapter folder',
  options: trainingOptions,
  async run(options, ui) {
    const interrupt = onInterrupt(() =>
      ui.warn('stopping after this step; Ctrl-C once more ends at once'),
    );
    const progress = createProgress(ui);
    const job = await prepareTraining(options, ui, progress, interrupt.signal);
    try {
      describeJob(job, ui);
      const outcome = await new TrainingRun(job, ui, progress).run(interrupt.signal);
      if (outcome.interrupted) {
        const { step, checkpoint } = outcome;
        ui.warn(
          checkpoint === null
            ? 'interrupted before a step was finished: there is nothing to keep'
            : `interrupted; step ${step} is in ${checkpoint}. The same command with --resume-from-checkpoint auto goes on`,
        );
        ui.result({ interrupted: true, step, checkpoint });
        return EXIT.interrupted;
      }
      const { summary, reason } = outcome;
      ui.print(
        `${options.out}: adapter of ${formatBytes(summary.adapterBytes)} after ${summary.steps} steps in ${formatDuration(summary.seconds)}, loss ${summary.firstLoss.toFixed(4)} \u2192 ${summary.lastLoss.toFixed(4)}
`,
      );
      ui.result({ out: options.out, reason, ...summary });
      return EXIT.done;
    } finally {
      interrupt.dispose();
      await job.close();
    }
  },
});

// src/main.ts
var verbs = [train2, ask, chat, dataCheck, tokenize, logits, quantize, doctor, quickstart];
async function run(argv) {
  const json = argv.includes('--json');
  let exitCode = EXIT.done;
  const program = createProgram(verbs, VERSION, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.done;
      if (json) writeJson({ error: { code: 'USAGE', message: error.message } });
      return EXIT.wrongInput;
    }
    const failure = describeFailure(error, argv.includes('--verbose'));
    process.stderr.write(failure.text);
    if (json) writeJson(failure.document);
    return failure.exitCode;
  }
}
function writeJson(document) {
  process.stdout.write(`${JSON.stringify(document, null, 2)}
`);
}
process.exitCode = await run(process.argv.slice(2));
//# sourceMappingURL=qlora.js.map
