// A conversation: a tree of turns, because an edited question or a second answer stands beside the first, not over it.
import { newId } from '../lib/browser';
import type { ToolCall, Usage, Timings } from '../api/types';
import type { ChatError } from '../api/errors';
import type { Settings } from './settings';

interface Turn {
  id: string;
  parent: string | null;
  time: number;
}

export interface Attachment {
  name: string;
  text: string;
}

export interface UserTurn extends Turn {
  role: 'user';
  content: string;
  attachments?: Attachment[];
}

export interface AssistantTurn extends Turn {
  role: 'assistant';
  content: string;
  reasoning: string;
  toolCalls: ToolCall[];
  status: 'waiting' | 'thinking' | 'answering' | 'done' | 'stopped' | 'failed';
  finish?: string; // the server's finish_reason
  error?: ChatError;
  model?: string;
  thinkMs?: number; // from the first token of the thinking to its end
  firstMs?: number; // until the first token
  totalMs?: number;
  pieces?: number; // chunks with text so far: about the tokens, until the server tells
  usage?: Usage;
  timings?: Timings;
}

export interface ToolTurn extends Turn {
  role: 'tool';
  callId: string;
  name: string;
  content: string;
}

export type AnyTurn = UserTurn | AssistantTurn | ToolTurn;

export interface Conversation {
  id: string;
  title: string; // the user's; '' for the first question
  created: number;
  updated: number;
  settings: Settings;
  turns: Record<string, AnyTurn>;
  /** Which child is shown below a turn ('' for the root), where it is not the newest. */
  chosen: Record<string, string>;
}

export const running = (turn: AnyTurn): boolean =>
  turn.role === 'assistant' && (turn.status === 'waiting' || turn.status === 'thinking' || turn.status === 'answering');

export function newConversation(settings: Settings): Conversation {
  const now = Date.now();
  return { id: newId(), title: '', created: now, updated: now, settings, turns: {}, chosen: {} };
}

/** The children of a turn (null: the first turns), oldest first. Insertion order is creation order. */
export function children(conversation: Conversation, parent: string | null): AnyTurn[] {
  return Object.values(conversation.turns).filter(turn => turn.parent === parent);
}

/** The turns that are shown, first to last. */
export function shownTurns(conversation: Conversation): AnyTurn[] {
  const byParent = new Map<string, AnyTurn[]>();
  for (const turn of Object.values(conversation.turns)) {
    const key = turn.parent ?? '';
    byParent.set(key, [...(byParent.get(key) ?? []), turn]);
  }
  const path: AnyTurn[] = [];
  for (let key = ''; ;) {
    const options = byParent.get(key);
    if (!options?.length) return path;
    const next = options.find(turn => turn.id === conversation.chosen[key]) ?? options[options.length - 1];
    path.push(next);
    key = next.id;
  }
}

/** The turns from the first down to `id`. */
export function pathTo(conversation: Conversation, id: string | null): AnyTurn[] {
  const path: AnyTurn[] = [];
  for (let turn = id === null ? undefined : conversation.turns[id]; turn; turn = conversation.turns[turn.parent ?? ''])
    path.unshift(turn);
  return path;
}

/** Adds a turn, or replaces the one with its id; a new one is shown. */
export function withTurn(conversation: Conversation, turn: AnyTurn): Conversation {
  const known = turn.id in conversation.turns;
  return {
    ...conversation,
    updated: Date.now(),
    turns: { ...conversation.turns, [turn.id]: turn },
    chosen: known ? conversation.chosen : { ...conversation.chosen, [turn.parent ?? '']: turn.id },
  };
}

/** Without a turn and all below it. */
export function withoutTurn(conversation: Conversation, id: string): Conversation {
  const gone = new Set([id]);
  // A child comes after its parent in insertion order.
  for (const turn of Object.values(conversation.turns))
    if (turn.parent !== null && gone.has(turn.parent)) gone.add(turn.id);
  const keep = <T>(record: Record<string, T>, keeps: (key: string, value: T) => boolean) =>
    Object.fromEntries(Object.entries(record).filter(([key, value]) => keeps(key, value)));
  return {
    ...conversation,
    updated: Date.now(),
    turns: keep(conversation.turns, key => !gone.has(key)),
    chosen: keep(conversation.chosen, (key, value) => !gone.has(key) && !gone.has(value)),
  };
}

/** Shows another version of a turn: `step` siblings further. */
export function withSibling(conversation: Conversation, id: string, step: number): Conversation {
  const turn = conversation.turns[id];
  const siblings = children(conversation, turn.parent);
  const next = siblings[siblings.indexOf(turn) + step];
  return next ? { ...conversation, chosen: { ...conversation.chosen, [turn.parent ?? '']: next.id } } : conversation;
}

/** The first question, shortened. */
export function titleOf(conversation: Conversation): string {
  if (conversation.title) return conversation.title;
  const first = shownTurns(conversation).find(turn => turn.role === 'user');
  const text =
    first?.content.trim().replace(/\s+/g, ' ') || (first as UserTurn | undefined)?.attachments?.[0]?.name || '';
  return text.length > 64 ? text.slice(0, 62).replace(/\s+\S*$/, '') + '…' : text || 'New chat';
}
