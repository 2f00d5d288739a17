/** The four markers of the tutor format, in the order in which they get their token ids. */
export const TUTOR_MARKERS = ['<|system|>', '<|user|>', '<|assistant|>', '<|end|>'] as const;

/**
 * The chat format that qlorajs trains by default. Each turn is a marker, a line feed, the trimmed
 * content, `<|end|>` and a line feed; the loss covers what the assistant wrote and its `<|end|>`.
 *
 * ```text
 * <|system|>
 * You teach algorithms.<|end|>
 * <|user|>
 * What is a stack?<|end|>
 * <|assistant|>
 * Last in, first out.<|end|>
 * ```
 *
 * It renders the same text and the same trained characters in Python's `apply_chat_template`.
 */
export const TUTOR_CHAT_TEMPLATE = `{%- for message in messages -%}
  {%- if message['role'] not in ['system', 'user', 'assistant'] -%}
    {{- raise_exception('a role is one of system, user and assistant') -}}
  {%- endif -%}
  {{- '<|' + message['role'] + '|>\\n' -}}
  {%- if message['role'] == 'assistant' -%}
    {%- generation -%}
      {{- (message['content'] | trim) + '<|end|>' -}}
    {%- endgeneration -%}
  {%- else -%}
    {{- (message['content'] | trim) + '<|end|>' -}}
  {%- endif -%}
  {{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|assistant|>\\n' -}}
{%- endif -%}
`;
