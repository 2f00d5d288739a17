import { Template } from '@huggingface/jinja';
import { scanTags, type Tag, UnclosedTag } from './tags.js';

/** Where a template is wrong. */
export interface Diagnosis {
  readonly line: number;
  readonly reason: string;
}

const BLOCKS = new Set(['if', 'for', 'macro', 'call', 'filter', 'generation', 'set']);
const BRANCHES = new Set(['else', 'elif']);

/** `{% set x %}…{% endset %}` is a block, `{% set x = 1 %}` is not. */
function opensBlock(tag: Tag): boolean {
  return BLOCKS.has(tag.name) && !(tag.name === 'set' && tag.source.includes('='));
}

/** The first tag that closes nothing, or is never closed. */
function findUnbalanced(tags: readonly Tag[]): { tag: Tag; reason: string } | null {
  const open: Tag[] = [];
  for (const tag of tags) {
    if (opensBlock(tag)) {
      if (tag.name === 'generation' && open.some((other) => other.name === 'generation')) {
        return { tag, reason: 'a {% generation %} inside another' };
      }
      open.push(tag);
    } else if (tag.name.startsWith('end')) {
      const last = open.pop();
      if (last === undefined) return { tag, reason: `${tag.source} closes nothing` };
      if (`end${last.name}` !== tag.name) {
        return { tag, reason: `${tag.source} where {% end${last.name} %} is due` };
      }
    } else if (BRANCHES.has(tag.name) && !['if', 'for'].includes(open.at(-1)?.name ?? '')) {
      return { tag, reason: `${tag.source} outside an if` };
    }
  }
  const last = open.at(-1);
  return last === undefined ? null : { tag: last, reason: `${last.source} is never closed` };
}

/** The reason why a tag does not compile by itself, if so. */
function tagError(tag: Tag): string | null {
  if (tag.name.startsWith('end') || tag.name === 'else' || tag.name === 'generation') return null;
  const probe = tag.name === 'elif' ? tag.source.replace('elif', 'if') : tag.source;
  const name = tag.name === 'elif' ? 'if' : tag.name;
  try {
    new Template(opensBlock({ ...tag, name }) ? `${probe}{% end${name} %}` : probe);
    return null;
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)} in ${tag.source}`;
  }
}

/** Finds the line of a template's mistake; null if each tag is fine by itself and blocks balance. */
export function diagnose(source: string): Diagnosis | null {
  const lineAt = (offset: number) => source.slice(0, offset).split('\n').length;
  let tags: Tag[];
  try {
    tags = scanTags(source);
  } catch (error) {
    if (!(error instanceof UnclosedTag)) throw error;
    const opening = source.slice(error.offset, error.offset + 2);
    return { line: lineAt(error.offset), reason: `${opening} is never closed` };
  }
  for (const tag of tags) {
    const reason = tagError(tag);
    if (reason !== null) return { line: lineAt(tag.start), reason };
  }
  const unbalanced = findUnbalanced(tags);
  return unbalanced && { line: lineAt(unbalanced.tag.start), reason: unbalanced.reason };
}
