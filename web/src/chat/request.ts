// A conversation as the request that asks for its next turn.
import type { ChatRequest, Message } from '../api/types';
import type { AnyTurn, UserTurn } from './conversation';
import { numberSettings, schemaProblem, toolsProblem, type Settings } from './settings';

/** A question with its files: each under its name, fenced by more backticks than it holds. */
export function userText(turn: UserTurn): string {
  const files = (turn.attachments ?? []).map(({ name, text }) => {
    const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(match => match[0].length));
    const fence = '`'.repeat(longest + 1);
    return `${name}:\n${fence}\n${text.replace(/\n$/, '')}\n${fence}`;
  });
  return [...files, turn.content].filter(Boolean).join('\n\n');
}

function message(turn: AnyTurn): Message {
  if (turn.role === 'user') return { role: 'user', content: userText(turn) };
  if (turn.role === 'tool') return { role: 'tool', tool_call_id: turn.callId, name: turn.name, content: turn.content };
  return {
    role: 'assistant',
    content: turn.content,
    ...(turn.reasoning && { reasoning_content: turn.reasoning }),
    ...(turn.toolCalls.length && { tool_calls: turn.toolCalls }),
  };
}

/** Without the older half of the turns; the rest begins with a question. */
export function shortened(turns: AnyTurn[]): AnyTurn[] {
  const starts = turns.flatMap((turn, place) => (turn.role === 'user' ? [place] : []));
  return turns.slice(starts[Math.ceil(starts.length / 2)] ?? starts[starts.length - 1] ?? 0);
}

/** `goesOn`: the last turn, an answer, is to be continued rather than answered. */
export function chatRequest(
  turns: AnyTurn[],
  settings: Settings,
  model: string | undefined,
  goesOn = false,
): ChatRequest {
  const said = turns.filter(
    turn => turn.role !== 'assistant' || turn.content || turn.reasoning || turn.toolCalls.length,
  );
  const request: ChatRequest = { messages: said.map(message) };
  if (settings.system.trim()) request.messages.unshift({ role: 'system', content: settings.system });
  if (model) request.model = model;
  for (const { key } of numberSettings) {
    const value = settings[key];
    if (value !== null) request[key] = value;
  }
  if (goesOn) Object.assign(request, { continue_final_message: true, add_generation_prompt: false });
  if (settings.keepThinking) request.keep_reasoning = true;
  if (settings.thinking !== null) request.max_thinking_tokens = settings.thinking;
  const stop = settings.stop
    .split('\n')
    .filter(Boolean)
    .map(line => line.replace(/\\n/g, '\n').replace(/\\t/g, '\t'));
  if (stop.length) request.stop = stop;
  if (settings.tools.trim() && !toolsProblem(settings.tools)) request.tools = JSON.parse(settings.tools) as unknown[];
  if (settings.schema.trim() && !schemaProblem(settings.schema))
    request.response_format = {
      type: 'json_schema',
      json_schema: { name: 'answer', schema: JSON.parse(settings.schema) as unknown },
    };
  return request;
}
