import type { Tag } from './tags.js';

/** The two private characters that mark where a generation block starts and ends in the output. */
export interface GenerationMarkers {
  readonly start: string;
  readonly end: string;
}

/** Names of the template variables that print the markers. */
const START_VARIABLE = '__qlorajs_generation_start';
const END_VARIABLE = '__qlorajs_generation_end';

/** The variables that a rewritten template needs. */
export function markerVariables(markers: GenerationMarkers): Record<string, string> {
  return { [START_VARIABLE]: markers.start, [END_VARIABLE]: markers.end };
}

/** True for `{% generation %}` and `{% endgeneration %}`. */
export function isGenerationTag(tag: Tag): boolean {
  return tag.name === 'generation' || tag.name === 'endgeneration';
}

/**
 * Replaces generation tags by statements that print a marker. An `if` block stands in, not a bare
 * `{{ … }}`, since only statements get `trim_blocks` and `lstrip_blocks`, as the tags do in Python.
 */
export function replaceGenerationTags(source: string, tags: readonly Tag[]): string {
  let rewritten = '';
  let position = 0;
  for (const tag of tags.filter(isGenerationTag)) {
    const open = tag.source.startsWith('{%-') ? '{%-' : '{%';
    const close = tag.source.endsWith('-%}') ? '-%}' : '%}';
    const variable = tag.name === 'generation' ? START_VARIABLE : END_VARIABLE;
    rewritten += source.slice(position, tag.start);
    rewritten += `${open} if true %}{{ ${variable} }}{% endif ${close}`;
    position = tag.end;
  }
  return rewritten + source.slice(position);
}

/** Takes the markers out of a rendered text and says where they were (UTF-16 offsets). */
export function extractSpans(
  marked: string,
  markers: GenerationMarkers,
): { text: string; spans: { start: number; end: number }[] } {
  const spans: { start: number; end: number }[] = [];
  let text = '';
  let open = 0;
  for (const piece of marked.split(new RegExp(`([${markers.start}${markers.end}])`))) {
    if (piece === markers.start) open = text.length;
    else if (piece !== markers.end) text += piece;
    else if (text.length > open) spans.push({ start: open, end: text.length });
  }
  return { text, spans };
}
