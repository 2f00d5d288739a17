/**
 * How the sections of an answer begin, in the order in which they appear. An explanation has the
 * title, the analogy, steps or a comparison, the complexity and one closing line; a follow-up, a
 * refusal or a question back has at least the title and one closing line.
 */
export const ANSWER_HEADINGS = [
  '📌 **',
  '🔎 Analogía:',
  '🪜 Pasos:',
  '⚖️ Comparación:',
  '🧪 Ejemplo:',
  '⏱️ Complejidad:',
  '❓ Para pensar:',
  '❓ Para seguir:',
  '💡 Consejo:',
] as const;

/** The headings of the answers in English, each at the place of its Spanish one. */
export const ENGLISH_ANSWER_HEADINGS = [
  '📌 **',
  '🔎 Analogy:',
  '🪜 Steps:',
  '⚖️ Comparison:',
  '🧪 Example:',
  '⏱️ Complexity:',
  '❓ Think about it:',
  '❓ Next:',
  '💡 Tip:',
] as const;

/** One of {@link ANSWER_HEADINGS} or {@link ENGLISH_ANSWER_HEADINGS}. */
export type AnswerHeading =
  | (typeof ANSWER_HEADINGS)[number]
  | (typeof ENGLISH_ANSWER_HEADINGS)[number];

const FIRST_CLOSING = ANSWER_HEADINGS.indexOf('❓ Para pensar:');

/**
 * The headings of an answer, Spanish or English, in the order in which its lines begin with them;
 * those inside code are not looked for, since no line of code begins so.
 *
 * @example
 * ```ts
 * import { headingsOf } from '@qlorajs/tutor-dataset';
 *
 * const answer = '📌 **Pila**\n\nSale lo último que entró.\n\n💡 Consejo: dibújala.';
 * console.log(headingsOf(answer).join(' | ')); // 📌 ** | 💡 Consejo:
 * ```
 */
export function headingsOf(answer: string): AnswerHeading[] {
  const all = new Set<AnswerHeading>([...ANSWER_HEADINGS, ...ENGLISH_ANSWER_HEADINGS]);
  return answer
    .split('\n')
    .flatMap((line) => [...all].filter((heading) => line.startsWith(heading)));
}

/**
 * Whether a text has the form of this dataset's answers: it opens with the title, ends with one
 * closing line (❓ or 💡), and its headings are all of one language and keep their order. Says
 * nothing about whether it is true. Use it to count how many generated answers keep the format.
 *
 * @example
 * ```ts
 * import { hasTutorFormat } from '@qlorajs/tutor-dataset';
 *
 * console.log(hasTutorFormat('📌 **Pila**\n\nSale lo último que entró.\n\n💡 Consejo: dibújala.')); // true
 * console.log(hasTutorFormat('📌 **Stack**\n\nLast in, first out.\n\n💡 Tip: draw it.')); // true
 * console.log(hasTutorFormat('Una pila es una colección.')); // false
 * ```
 */
export function hasTutorFormat(answer: string): boolean {
  const text = answer.trim();
  const found = headingsOf(text);
  return [ANSWER_HEADINGS, ENGLISH_ANSWER_HEADINGS].some((headings: readonly AnswerHeading[]) => {
    const order = found.map((heading) => headings.indexOf(heading));
    return (
      order[0] === 0 &&
      text.startsWith(headings[0]!) &&
      order.every((place, index) => index === 0 || place > order[index - 1]!) &&
      order.filter((place) => place >= FIRST_CLOSING).length === 1 &&
      headingsOf(text.split('\n').at(-1)!).length === 1
    );
  });
}
