// Conversations as files: JSON that this page reads back, Markdown for people.
import type { AnyTurn, Conversation } from './conversation';
import { shownTurns, titleOf } from './conversation';
import { userText } from './request';
import { plainSettings } from './settings';
import { newId } from '../lib/browser';

const FORMAT = 'minimax-chat';

export function toJson(conversations: Conversation[]): string {
  return JSON.stringify({ format: FORMAT, version: 1, exported: new Date().toISOString(), conversations }, null, 1);
}

export function toMarkdown(conversation: Conversation): string {
  const parts = [`# ${titleOf(conversation)}`];
  if (conversation.settings.system) parts.push(`> ${conversation.settings.system.replace(/\n/g, '\n> ')}`);
  for (const turn of shownTurns(conversation)) {
    if (turn.role === 'user') parts.push('## You', userText(turn));
    else if (turn.role === 'tool') parts.push(`## Result of ${turn.name}`, '```\n' + turn.content + '\n```');
    else {
      parts.push(`## ${turn.model ?? 'Assistant'}`);
      if (turn.reasoning) parts.push(`<details><summary>Thinking</summary>\n\n${turn.reasoning.trim()}\n\n</details>`);
      if (turn.content) parts.push(turn.content.trim());
      for (const call of turn.toolCalls)
        parts.push('```json\n' + `${call.function.name}(${call.function.arguments})` + '\n```');
    }
  }
  return parts.join('\n\n') + '\n';
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function readTurn(value: unknown): AnyTurn {
  if (!isObject(value) || typeof value.id !== 'string' || typeof value.content !== 'string')
    throw new Error('a turn has no id or no text');
  const base = {
    id: value.id,
    parent: typeof value.parent === 'string' ? value.parent : null,
    time: Number(value.time) || Date.now(),
    content: value.content,
  };
  if (value.role === 'user') {
    const files = Array.isArray(value.attachments)
      ? value.attachments.filter(isObject).map(file => ({ name: String(file.name), text: String(file.text) }))
      : [];
    return { ...base, role: 'user', ...(files.length && { attachments: files }) };
  }
  if (value.role === 'tool')
    return { ...base, role: 'tool', callId: String(value.callId ?? ''), name: String(value.name ?? '') };
  if (value.role !== 'assistant') throw new Error(`a turn has the role ${JSON.stringify(value.role)}`);
  const calls = Array.isArray(value.toolCalls) ? value.toolCalls.filter(isObject) : [];
  const number = (key: string) => (typeof value[key] === 'number' ? { [key]: value[key] } : {});
  return {
    ...base,
    role: 'assistant',
    reasoning: String(value.reasoning ?? ''),
    toolCalls: calls.map(call => {
      const made = isObject(call.function) ? call.function : {};
      return {
        id: String(call.id ?? ''),
        type: 'function' as const,
        function: { name: String(made.name ?? ''), arguments: String(made.arguments ?? '') },
      };
    }),
    status: value.status === 'stopped' ? 'stopped' : 'done',
    ...(typeof value.finish === 'string' && { finish: value.finish }),
    ...(typeof value.model === 'string' && { model: value.model }),
    ...number('thinkMs'),
    ...number('firstMs'),
    ...number('totalMs'),
    ...number('pieces'),
    ...(isObject(value.usage) && { usage: value.usage as never }),
    ...(isObject(value.timings) && { timings: value.timings as never }),
  };
}

function readConversation(value: unknown): Conversation {
  if (!isObject(value) || !isObject(value.turns)) throw new Error('a conversation has no turns');
  const turns: Record<string, AnyTurn> = {};
  for (const entry of Object.values(value.turns)) {
    const turn = readTurn(entry);
    // A parent comes before its children, so that no turn is its own ancestor.
    if (turn.parent !== null && !(turn.parent in turns)) throw new Error('a turn comes before the one it follows');
    turns[turn.id] = turn;
  }
  const settings = { ...plainSettings };
  const given = isObject(value.settings) ? value.settings : {};
  for (const key of Object.keys(plainSettings) as (keyof typeof plainSettings)[]) {
    const found = given[key];
    if (typeof found === typeof plainSettings[key] || (plainSettings[key] === null && typeof found === 'number'))
      Object.assign(settings, { [key]: found });
  }
  const chosen = isObject(value.chosen) ? value.chosen : {};
  return {
    id: typeof value.id === 'string' && /^[\w-]{1,64}$/.test(value.id) ? value.id : newId(),
    title: String(value.title ?? ''),
    created: Number(value.created) || Date.now(),
    updated: Number(value.updated) || Date.now(),
    settings,
    turns,
    chosen: Object.fromEntries(Object.entries(chosen).filter(([, child]) => typeof child === 'string')) as Record<
      string,
      string
    >,
  };
}

/** The conversations of a file that toJson wrote. Throws an Error that says what is wrong with it. */
export function fromJson(text: string): Conversation[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
  if (!isObject(value) || value.format !== FORMAT || !Array.isArray(value.conversations))
    throw new Error('it was not exported by this page');
  return value.conversations.map(readConversation);
}
