/** OpenAI's kinds of errors that this server gives. */
type ErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'rate_limit_error'
  | 'timeout_error'
  | 'server_error';

/** A failure as OpenAI's API tells it. */
export class ApiError extends Error {
  readonly status: number;
  readonly type: ErrorType;
  readonly code: string | null;
  readonly param: string | null;

  constructor(
    status: number,
    message: string,
    details: { type?: ErrorType; code?: string; param?: string } = {},
  ) {
    super(message);
    this.status = status;
    this.type = details.type ?? (status >= 500 ? 'server_error' : 'invalid_request_error');
    this.code = details.code ?? null;
    this.param = details.param ?? null;
  }

  /** `{"error": {message, type, param, code}}` */
  get body() {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }
}

/** Whatever was thrown, as an answer; what is not meant for clients stays inside. */
export function toApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const { code, message } = thrown as { code?: unknown; message?: unknown };
  if (code === 'PHI_CONTEXT')
    return new ApiError(400, String(message), {
      code: 'context_length_exceeded',
      param: 'messages',
    });
  if (code === 'CHAT_TEMPLATE_MISSING')
    return new ApiError(400, String(message), { code: 'chat_template_missing', param: 'messages' });
  if (code === 'CHAT_TEMPLATE_RENDER' || String(code).startsWith('TEMPLATE'))
    return new ApiError(400, String(message), { code: 'invalid_messages', param: 'messages' });
  if (code === 'COMPUTE_OUT_OF_MEMORY')
    return new ApiError(503, 'the device has no room for this answer now; try again', {
      code: 'out_of_memory',
    });
  return new ApiError(500, 'the answer failed; the server has written why to its log');
}
