import type { CodeLanguage, Outcome } from './protocol.js';
import { Sandbox, type SandboxOptions } from './sandbox.js';

/** A fenced block of code in a text. */
export interface CodeBlock {
  readonly language: CodeLanguage;
  readonly code: string;
}

const LANGUAGES: Readonly<Record<string, CodeLanguage>> = {
  ...{ python: 'python', py: 'python' },
  ...{ javascript: 'javascript', js: 'javascript' },
};

/** The fenced blocks of Python and JavaScript in a text; one that is not closed goes to its end. */
export function codeBlocks(text: string): CodeBlock[] {
  return [...text.matchAll(/^ *```(\w+)[^\n]*\n([\s\S]*?)(?:^ *```|$(?![\s\S]))/gm)].flatMap(
    ([, name, code]) => {
      const language = LANGUAGES[name.toLowerCase()];
      return language === undefined ? [] : [{ language, code: code.trimEnd() }];
    },
  );
}

/** What a block says that it prints: the comment behind each `print(…)` or `console.log(…)`. */
export function statedOutput({ language, code }: CodeBlock): string[] {
  const line =
    language === 'python' ? /^ *print\(.*\) +# ?(.*)$/gm : /^ *console\.log\(.*\);? +\/\/ ?(.*)$/gm;
  return [...code.matchAll(line)].map((match) => match[1].trim());
}

/** A block that was run. */
export interface RunBlock extends CodeBlock, Outcome {
  /** It printed what it says; null: it says nothing. */
  readonly printsWhatItSays: boolean | null;
}

/** Runs blocks one after the other, in a sandbox for each language. */
export async function runBlocks(
  blocks: readonly CodeBlock[],
  options: SandboxOptions & { readonly onBlock?: () => void } = {},
): Promise<RunBlock[]> {
  const sandboxes = new Map<CodeLanguage, Sandbox>();
  try {
    const done: RunBlock[] = [];
    for (const block of blocks) {
      const sandbox = sandboxes.get(block.language) ?? new Sandbox(block.language, options);
      sandboxes.set(block.language, sandbox);
      const outcome = await sandbox.run(block.code);
      const stated = statedOutput(block);
      const same = stated.join('\n') === outcome.printed.map((line) => line.trim()).join('\n');
      const printsWhatItSays = stated.length === 0 ? null : outcome.error === null && same;
      done.push({ ...block, ...outcome, printsWhatItSays });
      options.onBlock?.();
    }
    return done;
  } finally {
    for (const sandbox of sandboxes.values()) sandbox.dispose();
  }
}
