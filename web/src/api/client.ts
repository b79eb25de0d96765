// Requests to the server that served this page.
import { ApiError, errorOf } from './errors';
import { events } from './sse';
import type { ChatRequest, Chunk, Model } from './types';

export interface ServerAddress {
  base: string; // '.' for the server of this page, also where a proxy has it below a path of its own
  key: string; // '' for none
}

function headers({ key }: ServerAddress, json = false): HeadersInit {
  return { ...(json && { 'Content-Type': 'application/json' }), ...(key && { Authorization: `Bearer ${key}` }) };
}

async function request(server: ServerAddress, path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(server.base + path, { ...init, headers: headers(server, init.body != null) });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError('unreachable', 'The server does not answer.');
  }
  if (!response.ok)
    throw errorOf(response.status, await response.text().catch(() => ''), response.headers.get('Retry-After'));
  return response;
}

export async function models(server: ServerAddress, signal?: AbortSignal): Promise<Model[]> {
  const body = (await (await request(server, '/v1/models', { signal })).json()) as { data?: Model[] };
  return Array.isArray(body.data) ? body.data.filter(model => typeof model?.id === 'string') : [];
}

/** The tokens a model can see at once, where the server says. */
export function contextLength(model: Model | undefined): number | undefined {
  return model?.max_model_len ?? model?.context_length ?? model?.meta?.n_ctx ?? model?.meta?.n_ctx_train;
}

/** Streams a chat completion. Throws ApiError; an AbortError when `signal` ended it. */
export async function* chat(server: ServerAddress, body: ChatRequest, signal: AbortSignal): AsyncGenerator<Chunk> {
  const response = await request(server, '/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.body) throw new ApiError('cut', 'The server sent an empty answer.');
  let finished = false;
  try {
    for await (const data of events(response.body)) {
      if (data === '[DONE]') return;
      let chunk: Chunk;
      try {
        chunk = JSON.parse(data) as Chunk;
      } catch {
        throw new ApiError('server', 'The server sent something that is not JSON.');
      }
      if (chunk.error) throw errorOf(Number(chunk.error.code) || 500, JSON.stringify(chunk), null);
      finished ||= chunk.choices?.some(choice => choice.finish_reason) ?? false;
      yield chunk;
    }
  } catch (error) {
    if (error instanceof ApiError || signal.aborted) throw error;
    throw new ApiError('cut', 'The connection was lost.');
  }
  if (!finished) throw new ApiError('cut', 'The connection was lost before the answer was complete.');
}

/** Ends the thinking of a running request, so that it goes on to its answer. */
export async function endThinking(server: ServerAddress, id: string): Promise<void> {
  await request(server, '/v1/chat/completions/control', {
    method: 'POST',
    body: JSON.stringify({ id, action: 'reasoning_end' }),
  });
}
