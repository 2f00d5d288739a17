import type { Page } from 'playwright-core';
import { en } from '../src/text/en.js';
import { es } from '../src/text/es.js';

/** Words that a reader sees or hears, but for code, names and what has a language of its own. */
function shownWords(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const apart = 'code, pre, textarea, [translate=no], body [lang], .bubble p, .token, svg title';
    const words = new Set<string>();
    const add = (element: Element, text: string | null) => {
      const place = element.closest('select') ?? element;
      if (!element.closest(apart) && place.checkVisibility()) words.add((text ?? '').trim());
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode())
      add(node.parentElement!, node.textContent);
    for (const name of ['aria-label', 'placeholder', 'title'])
      for (const element of document.querySelectorAll(`[${name}]`))
        add(element, element.getAttribute(name));
    return [...words];
  });
}

type Table = { readonly [key: string]: unknown };

/** Words that both languages have in common. */
function common(one: Table, other: Table): string[] {
  return Object.entries(one).flatMap(([key, value]) => {
    if (typeof value === 'object') return common(value as Table, other[key] as Table);
    return typeof value === 'string' && value === other[key] ? [value] : [];
  });
}

/** Names of models, adapters, files, layers and values, sizes and counts. */
const NAMES =
  /^(phi-nano|auto|webgpu|wasm1?|gpujs|tutor|sql|stories|my-adapter|adamw|paged_adamw_\w+|linear|cosine|constant|error|drop|truncate|assistant|all|[\w.-]+\.jsonl|config\.json, tokenizer\.json, model\*\.safetensors|\d+(\.self_attn|\.mlp)?\.\w+(\.weight|\.bias)?(: .*)?)( \(r \d+\))?[:,]?$|^[\d.,:/·×+ e-]*( ?([kMG]?B|tokens))*$/;

/**
 * What reads the same in both languages and should not: it comes from neither's table. The page is left
 * as it was.
 */
export async function untranslated(page: Page): Promise<string[]> {
  const choice = page.locator('.preferences select').first();
  const language = await choice.inputValue();
  const here = await shownWords(page);
  const other = language === 'en' ? 'es' : 'en';
  await choice.selectOption(other);
  await page.locator(`html[lang=${other}]`).waitFor();
  const there = new Set(await shownWords(page));
  await choice.selectOption(language);
  await page.locator(`html[lang=${language}]`).waitFor();
  const known = new Set(common(en, es));
  return here.filter((text) => there.has(text) && !known.has(text) && !NAMES.test(text));
}
