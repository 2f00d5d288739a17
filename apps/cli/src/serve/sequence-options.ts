import type { SequenceOptions } from '@qlorajs/phi2-model';
import type { GenerationSettings } from '@qlorajs/session';
import type { ChatRequest, CompletionRequest } from './requests.js';

/** How tokens are chosen: the request's fields, else the server's own flags. */
export function sequenceOptions(
  request: ChatRequest | CompletionRequest,
  defaults: GenerationSettings,
  choice: number,
): SequenceOptions & { readonly stop: readonly string[] } {
  const completion = 'max_completion_tokens' in request ? request.max_completion_tokens : undefined;
  return {
    maxNewTokens: completion ?? request.max_tokens ?? defaults.maxNewTokens,
    temperature: request.temperature ?? defaults.temperature,
    topP: request.top_p ?? defaults.topP,
    topK: request.top_k ?? defaults.topK,
    minP: request.min_p ?? defaults.minP,
    repetitionPenalty: request.repetition_penalty ?? defaults.repetitionPenalty,
    penalizePrompt: defaults.penalizePrompt,
    seed: ((request.seed ?? defaults.seed) + choice) >>> 0,
    stop: [request.stop ?? defaults.stop ?? []].flat(),
    topLogprobs: 'messages' in request ? (request.top_logprobs ?? 0) : (request.logprobs ?? 0),
  };
}
