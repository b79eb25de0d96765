// One answer being made: the stream of a chat completion becomes an assistant's turn.
import { chat, type ServerAddress } from '../api/client';
import { ApiError } from '../api/errors';
import type { ChatRequest, Chunk, ToolCallDelta } from '../api/types';
import type { AssistantTurn } from './conversation';

const FRAME_MS = 40; // how often the page is told of new text
const MOST_RETRIES = 20; // of a busy or loading server
const RETRY_SECONDS = 5; // where the server does not say

export interface Run {
  turn: string;
  abort: AbortController;
  requestId?: string; // the server's name of the request
  retryAt?: number; // while waiting for a busy server: when it is asked again
  retryReason?: 'busy' | 'loading';
}

export interface RunEvents {
  /** The turn has grown. Called at most every FRAME_MS, and at the end. */
  turn(turn: AssistantTurn): void;
  /** Something of the run itself has changed. */
  run(run: Run): void;
}

function withCalls(turn: AssistantTurn, deltas: ToolCallDelta[]): AssistantTurn['toolCalls'] {
  const calls = [...turn.toolCalls];
  for (const { index, id, function: part } of deltas) {
    const old = calls[index] ?? { id: '', type: 'function', function: { name: '', arguments: '' } };
    calls[index] = {
      id: id || old.id,
      type: 'function',
      function: {
        name: old.function.name + (part?.name ?? ''),
        arguments: old.function.arguments + (part?.arguments ?? ''),
      },
    };
  }
  return calls;
}

/** The turn after one more chunk. `now` is ms since the request was sent. */
export function grow(turn: AssistantTurn, chunk: Chunk, now: number): AssistantTurn {
  const next = { ...turn };
  if (chunk.model) next.model = chunk.model;
  if (chunk.usage) next.usage = chunk.usage;
  if (chunk.timings) next.timings = chunk.timings;
  const choice = chunk.choices?.find(({ index }) => index === 0);
  if (!choice) return next;
  const thought = choice.delta?.reasoning_content ?? choice.delta?.reasoning ?? '';
  const said = choice.delta?.content ?? '';
  const calls = choice.delta?.tool_calls ?? [];
  if (thought || said || calls.length) {
    next.firstMs ??= now;
    next.pieces = (next.pieces ?? 0) + 1;
  }
  if (thought) {
    next.reasoning += thought;
    next.status = 'thinking';
    next.thinkMs = now - (next.firstMs ?? now);
  }
  if (said || calls.length) {
    if (next.status === 'thinking') next.thinkMs = now - (next.firstMs ?? now);
    next.status = 'answering';
    // The line ends between thinking and answer are nobody's.
    next.content = next.content ? next.content + said : said.replace(/^\n+/, '');
    if (calls.length) next.toolCalls = withCalls(next, calls);
  }
  if (choice.finish_reason) next.finish = choice.finish_reason;
  return next;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Runs to the end of the answer, whatever that end is; never throws. */
export async function runTurn(
  server: ServerAddress,
  request: ChatRequest,
  first: AssistantTurn,
  run: Run,
  tell: RunEvents,
): Promise<void> {
  let turn = first;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    tell.turn(turn);
  };
  for (let tries = 1; ; ++tries) {
    const start = performance.now();
    const elapsed = () => performance.now() - start;
    try {
      for await (const chunk of chat(server, request, run.abort.signal)) {
        if (chunk.id && run.requestId !== chunk.id) tell.run(Object.assign(run, { requestId: chunk.id }));
        turn = grow(turn, chunk, elapsed());
        timer ??= setTimeout(flush, FRAME_MS);
      }
      turn = { ...turn, status: 'done', totalMs: (first.totalMs ?? 0) + elapsed() };
    } catch (error) {
      const problem = error instanceof ApiError ? error : new ApiError('server', String(error));
      const retry = (problem.kind === 'busy' || problem.kind === 'loading') && !turn.pieces && tries <= MOST_RETRIES;
      if (retry && !run.abort.signal.aborted) {
        const ms = 1000 * (problem.retryAfter ?? RETRY_SECONDS);
        tell.run(Object.assign(run, { retryAt: Date.now() + ms, retryReason: problem.kind }));
        await sleep(ms, run.abort.signal);
        tell.run(Object.assign(run, { retryAt: undefined, retryReason: undefined }));
        if (!run.abort.signal.aborted) continue;
      }
      const { kind, message, retryAfter } = problem;
      turn = run.abort.signal.aborted
        ? { ...turn, status: 'stopped', totalMs: elapsed() }
        : { ...turn, status: 'failed', totalMs: elapsed(), error: { kind, message, retryAfter } };
    }
    flush();
    return;
  }
}
