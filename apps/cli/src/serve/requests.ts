import { z } from 'zod';
import { ApiError } from './api-error.js';

/** Answers to one prompt that a request may ask for. */
const MOST_CHOICES = 8;

/** What both endpoints take, by OpenAI's names; `null` is as good as leaving out. */
const common = {
  model: z.string(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  n: z.int().min(1).max(MOST_CHOICES).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  max_tokens: z.int().min(1).nullish(),
  seed: z.int().nullish(),
  user: z.string().nullish(),
  // llama.cpp's and vLLM's names, beyond OpenAI's.
  top_k: z.int().min(0).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().min(0.01).nullish(),
  // Not computed here: only the values that change nothing.
  frequency_penalty: z.literal(0, 'is not supported; use repetition_penalty').nullish(),
  presence_penalty: z.literal(0, 'is not supported; use repetition_penalty').nullish(),
  logit_bias: z.record(z.string(), z.never('is not supported')).nullish(),
};

const content = z.union([
  z.string(),
  z
    .array(z.object({ type: z.literal('text', 'only text parts are supported'), text: z.string() }))
    .transform((parts) => parts.map(({ text }) => text).join('')),
]);

const chatSchema = z.object({
  ...common,
  messages: z
    .array(
      z.object({
        role: z
          .enum(['system', 'developer', 'user', 'assistant'])
          .transform((role) => (role === 'developer' ? 'system' : role)),
        content,
      }),
    )
    .min(1),
  max_completion_tokens: z.int().min(1).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  response_format: z.object({ type: z.literal('text', 'only text is supported') }).nullish(),
  tools: z.array(z.never('are not supported')).nullish(),
});

const completionSchema = z.object({
  ...common,
  prompt: z.union([
    z.string(),
    z.array(z.string()).min(1).max(MOST_CHOICES),
    z.array(z.int().min(0)).min(1),
  ]),
  logprobs: z.int().min(0).max(20).nullish(),
  echo: z.literal(false, 'is not supported').nullish(),
  suffix: z.null('is not supported').optional(),
  best_of: z.literal(1, 'is not supported').nullish(),
});

export type ChatRequest = z.output<typeof chatSchema>;
export type CompletionRequest = z.output<typeof completionSchema>;

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const param = issue.path.join('.');
  const subject = param === '' ? 'the body' : param;
  throw new ApiError(400, `${subject}: ${issue.message}`, {
    code: 'invalid_value',
    ...(param !== '' && { param }),
  });
}

export const parseChat = (body: unknown): ChatRequest => parse(chatSchema, body);
export const parseCompletion = (body: unknown): CompletionRequest => parse(completionSchema, body);
