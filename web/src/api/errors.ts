// What can go wrong between this page and the server, in words for its user.

export type ErrorKind =
  | 'unreachable' // no answer at all
  | 'cut' // the stream ended before the answer did
  | 'key' // an API key is missing or wrong
  | 'busy' // too many requests; retryAfter seconds may be told
  | 'loading' // the server is not ready yet
  | 'context' // the conversation is longer than the model's context
  | 'request' // the server refuses what was asked
  | 'server'; // the server failed

export interface ChatError {
  kind: ErrorKind;
  message: string; // the server's own words, or ours where it had none
  retryAfter?: number;
}

export class ApiError extends Error implements ChatError {
  constructor(
    public kind: ErrorKind,
    message: string,
    public retryAfter?: number,
  ) {
    super(message);
  }
}

interface ErrorBody {
  error?: { message?: string; type?: string; code?: string | number | null } | string;
  detail?: unknown;
  message?: string;
}

/** The error of an HTTP response that is not a success. Understands the OpenAI error shape, and answers without it. */
export function errorOf(status: number, body: string, retryAfterHeader: string | null): ApiError {
  let message = '';
  let code = '';
  try {
    const parsed = JSON.parse(body) as ErrorBody;
    if (typeof parsed.error === 'string') message = parsed.error;
    else {
      message = parsed.error?.message ?? parsed.message ?? '';
      code = `${parsed.error?.code ?? ''} ${parsed.error?.type ?? ''}`;
    }
  } catch {
    if (body.length < 300 && !body.includes('<')) message = body.trim();
  }
  const retryAfter = retrySeconds(retryAfterHeader);
  message ||= `The server answered with status ${status}.`;
  if (status === 401 || status === 403) return new ApiError('key', message);
  if (status === 429) return new ApiError('busy', message, retryAfter);
  if (status === 503) return new ApiError('loading', message, retryAfter);
  if (/context_length|context (length|size|window)|context holds|exceed_context/i.test(code + ' ' + message))
    return new ApiError('context', message);
  return new ApiError(status >= 500 ? 'server' : 'request', message, retryAfter);
}

/** Retry-After is a number of seconds or a date. */
function retrySeconds(header: string | null): number | undefined {
  if (!header) return undefined;
  const seconds = /^\s*\d+(\.\d+)?\s*$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(Math.ceil(seconds), 0), 600) : undefined;
}
