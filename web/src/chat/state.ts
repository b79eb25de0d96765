// The state of the page, and everything that changes it.
import { contextLength, endThinking, models, type ServerAddress } from '../api/client';
import { ApiError } from '../api/errors';
import type { Model } from '../api/types';
import { local, newId } from '../lib/browser';
import { Store } from '../lib/store';
import {
  newConversation,
  pathTo,
  running,
  shownTurns,
  titleOf,
  withSibling,
  withTurn,
  withoutTurn,
  type AnyTurn,
  type AssistantTurn,
  type Attachment,
  type Conversation,
  type ToolTurn,
  type UserTurn,
} from './conversation';
import { chatRequest, shortened } from './request';
import { runTurn, type Run } from './run';
import { plainSettings, type Settings } from './settings';
import * as storage from './storage';

export interface ListEntry {
  id: string;
  title: string;
  updated: number;
}

export interface Toast {
  text: string;
  action?: { label: string; run: () => void };
}

export interface AppState {
  ready: boolean;
  conversations: Record<string, Conversation>; // those that are kept
  list: ListEntry[]; // the same, newest first
  current: Conversation; // perhaps a new one that is not kept yet
  runs: Record<string, Run>; // by conversation
  defaults: Settings; // of new conversations
  models: Model[];
  model: string; // '' for the server's own choice
  server: 'asking' | 'ready' | 'loading' | 'key' | 'unreachable';
  apiKey: string;
  canEndThinking: boolean;
  toast: Toast | null;
}

function storedDefaults(): Settings {
  try {
    return { ...plainSettings, ...(JSON.parse(local.get('minimax-settings') ?? '{}') as Partial<Settings>) };
  } catch {
    return plainSettings;
  }
}

const defaults = storedDefaults();
export const app = new Store<AppState>({
  ready: false,
  conversations: {},
  list: [],
  current: newConversation(defaults),
  runs: {},
  defaults,
  models: [],
  model: local.get('minimax-model') ?? '',
  server: 'asking',
  apiKey: local.get('minimax-key') ?? '',
  canEndThinking: true,
  toast: null,
});

const SAVE_MS = 1000; // how often a growing answer is written down

const server = (): ServerAddress => ({ base: '.', key: app.value.apiKey });

// --- toasts -----------------------------------------------------------------------------------------------------------

let toastTimer: ReturnType<typeof setTimeout> | undefined;
export function toast(text: string, action?: Toast['action']): void {
  clearTimeout(toastTimer);
  app.patch({ toast: { text, action } });
  toastTimer = setTimeout(() => app.patch({ toast: null }), action ? 10_000 : 4000);
}

export function dismissToast(): void {
  app.patch({ toast: null });
}

// --- conversations ----------------------------------------------------------------------------------------------------

// Other tabs of this browser learn what was saved here.
const otherTabs = typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel('minimax-chat');

function listOf(conversations: Record<string, Conversation>): ListEntry[] {
  return Object.values(conversations)
    .map(conversation => ({ id: conversation.id, title: titleOf(conversation), updated: conversation.updated }))
    .sort((a, b) => b.updated - a.updated);
}

async function keep(conversation: Conversation): Promise<void> {
  try {
    await storage.save(conversation);
    otherTabs?.postMessage(conversation.id);
  } catch {
    toast('This conversation could not be saved: the browser’s storage is full.');
  }
}

/** Puts a changed conversation in its place; `save` when it is worth writing down now. */
function put(conversation: Conversation, save = true): void {
  const { current, conversations } = app.value;
  const next = { ...conversations, [conversation.id]: conversation };
  app.patch({
    conversations: next,
    ...(save && { list: listOf(next) }),
    ...(current.id === conversation.id && { current: conversation }),
  });
  if (save) void keep(conversation);
}

function find(id: string): Conversation | undefined {
  const { current, conversations } = app.value;
  return current.id === id ? current : conversations[id];
}

/** A run that ended with its page is a stopped answer. */
function mended(conversation: Conversation): Conversation {
  const turns = Object.fromEntries(
    Object.entries(conversation.turns).map(([id, turn]) => [
      id,
      running(turn) ? { ...(turn as AssistantTurn), status: 'stopped' as const } : turn,
    ]),
  );
  return { ...conversation, settings: { ...plainSettings, ...conversation.settings }, turns };
}

function show(conversation: Conversation): void {
  app.patch({ current: conversation });
  const hash = conversation.id in app.value.conversations ? `#/${conversation.id}` : '';
  if (location.hash !== hash) history.pushState(null, '', hash || location.pathname);
  document.title = `${titleOf(conversation)} · MiniMax`;
}

export function newChat(): void {
  show(newConversation(app.value.defaults));
}

export function openConversation(id: string): void {
  const conversation = app.value.conversations[id];
  if (conversation) show(conversation);
}

export function rename(id: string, title: string): void {
  const conversation = find(id);
  if (conversation) put({ ...conversation, title: title.trim() });
}

export function deleteConversation(id: string): void {
  const conversation = app.value.conversations[id];
  if (!conversation) return;
  stop(id);
  const rest = Object.fromEntries(Object.entries(app.value.conversations).filter(([key]) => key !== id));
  app.patch({ conversations: rest, list: listOf(rest) });
  if (app.value.current.id === id) newChat();
  void storage.remove(id).then(() => otherTabs?.postMessage(id));
  toast('Conversation deleted.', { label: 'Undo', run: () => put(mended(conversation)) });
}

export async function deleteEverything(): Promise<void> {
  for (const id of Object.keys(app.value.runs)) stop(id);
  await storage.removeAll();
  app.patch({ conversations: {}, list: [] });
  newChat();
  otherTabs?.postMessage('');
}

/** Adds conversations of a file; one that is here already is kept beside it. */
export function addConversations(conversations: Conversation[]): void {
  for (const conversation of conversations) {
    const id = conversation.id in app.value.conversations ? newId() : conversation.id;
    put(mended({ ...conversation, id }));
  }
}

// --- turns ------------------------------------------------------------------------------------------------------------

function ask(conversation: Conversation, parent: string, history?: AnyTurn[]): void {
  const turn: AssistantTurn = {
    id: newId(),
    parent,
    time: Date.now(),
    role: 'assistant',
    content: '',
    reasoning: '',
    toolCalls: [],
    status: 'waiting',
  };
  run(conversation, turn, history ?? pathTo(conversation, parent));
}

function run(conversation: Conversation, turn: AssistantTurn, history: AnyTurn[], goesOn = false): void {
  const { model, models: known } = app.value;
  const id = conversation.id;
  const started: Run = { turn: turn.id, abort: new AbortController() };
  put(withTurn(conversation, turn));
  app.patch({ runs: { ...app.value.runs, [id]: started } });
  show(find(id)!);

  const chosen = known.some(entry => entry.id === model) ? model : known[0]?.id;
  const request = chatRequest(history, conversation.settings, chosen, goesOn);
  let saved = Date.now();
  void runTurn(server(), request, turn, started, {
    turn: grown => {
      const latest = find(id);
      if (!latest || !(grown.id in latest.turns)) return started.abort.abort(); // deleted meanwhile
      const save = !running(grown) || Date.now() - saved > SAVE_MS;
      if (save) saved = Date.now();
      put(withTurn(latest, grown), save);
      if (grown.error?.kind === 'unreachable' || grown.error?.kind === 'key') void askServer();
    },
    run: changed => app.patch({ runs: { ...app.value.runs, [id]: { ...changed } } }),
  }).then(() => {
    const { [id]: _, ...rest } = app.value.runs;
    app.patch({ runs: rest });
  });
}

const lastId = (conversation: Conversation): string | null => shownTurns(conversation).at(-1)?.id ?? null;

export function send(content: string, attachments: Attachment[]): void {
  const { current } = app.value;
  if (current.id in app.value.runs) return;
  const turn: UserTurn = {
    id: newId(),
    parent: lastId(current),
    time: Date.now(),
    role: 'user',
    content,
    ...(attachments.length && { attachments }),
  };
  ask(withTurn(current, turn), turn.id);
}

/** Asks another question in the place of this one. */
export function editQuestion(id: string, content: string): void {
  const { current } = app.value;
  const old = current.turns[id];
  if (old?.role !== 'user') return;
  stop(current.id);
  const turn: UserTurn = { ...old, id: newId(), time: Date.now(), content };
  ask(withTurn(app.value.current, turn), turn.id);
}

/** Another answer beside this one; in the place of one that came to nothing. */
export function regenerate(id: string, leaveOutOldest = false): void {
  stop(app.value.current.id);
  const { current } = app.value;
  const old = current.turns[id];
  if (old?.role !== 'assistant' || old.parent === null) return;
  const empty = !old.content && !old.reasoning && !old.toolCalls.length;
  const history = pathTo(current, old.parent);
  ask(empty ? withoutTurn(current, id) : current, old.parent, leaveOutOldest ? shortened(history) : undefined);
}

/** Goes on with an answer that ended too early. */
export function goOn(id: string): void {
  const { current } = app.value;
  const turn = current.turns[id];
  if (turn?.role !== 'assistant' || !turn.content || current.id in app.value.runs) return;
  run(
    current,
    { ...turn, status: 'answering', error: undefined, finish: undefined, firstMs: undefined, pieces: 0 },
    pathTo(current, id),
    true,
  );
}

/** Changes what the model said; what follows goes on from the changed text. */
export function editAnswer(id: string, content: string): void {
  const { current } = app.value;
  const old = current.turns[id];
  if (old?.role === 'assistant') put(withTurn(current, { ...old, content }));
}

/** The results of all calls of a turn, in their order: the model goes on with them. */
export function answerCalls(id: string, results: string[]): void {
  const { current } = app.value;
  const turn = current.turns[id];
  if (turn?.role !== 'assistant' || current.id in app.value.runs) return;
  let conversation = current;
  let parent = id;
  turn.toolCalls.forEach((call, place) => {
    const result: ToolTurn = {
      id: newId(),
      parent,
      time: Date.now(),
      role: 'tool',
      callId: call.id,
      name: call.function.name,
      content: results[place],
    };
    conversation = withTurn(conversation, result);
    parent = result.id;
  });
  ask(conversation, parent);
}

export function stop(conversation = app.value.current.id): void {
  const run = app.value.runs[conversation];
  if (!run) return;
  run.abort.abort();
  const { [conversation]: _, ...rest } = app.value.runs;
  app.patch({ runs: rest });
}

/** Ends the thinking of the answer that is being made. */
export async function answerNow(): Promise<void> {
  const run = app.value.runs[app.value.current.id];
  if (!run?.requestId) return;
  try {
    await endThinking(server(), run.requestId);
  } catch (error) {
    // "No request is running": it ended by itself meanwhile.
    const refused =
      error instanceof ApiError &&
      (error.kind === 'request' || error.kind === 'server') &&
      !/running/.test(error.message);
    if (refused) {
      app.patch({ canEndThinking: false });
      toast('This server cannot end the thinking of a running answer.');
    }
  }
}

export function deleteTurn(id: string): void {
  const before = app.value.current;
  stop(before.id);
  put(withoutTurn(app.value.current, id));
  toast('Deleted.', { label: 'Undo', run: () => put(mended(before)) });
}

export function showSibling(id: string, step: number): void {
  put(withSibling(app.value.current, id, step));
}

// --- settings ---------------------------------------------------------------------------------------------------------

export function changeSettings(part: Partial<Settings>): void {
  const { current, conversations } = app.value;
  const changed = { ...current, settings: { ...current.settings, ...part } };
  if (current.id in conversations) put(changed);
  else app.patch({ current: changed });
}

/** Makes these the settings of new conversations. */
export function keepAsDefaults(settings: Settings): void {
  app.patch({ defaults: settings });
  local.set('minimax-settings', JSON.stringify(settings));
}

export function chooseModel(model: string): void {
  app.patch({ model });
  local.set('minimax-model', model);
}

export function setApiKey(key: string, remember: boolean): void {
  app.patch({ apiKey: key });
  local.set('minimax-key', remember && key ? key : null);
  void askServer();
}

// --- the server -------------------------------------------------------------------------------------------------------

let askTimer: ReturnType<typeof setTimeout> | undefined;

/** Asks the server for its models; again every few seconds until it answers. */
export async function askServer(): Promise<void> {
  clearTimeout(askTimer);
  const apiKey = app.value.apiKey;
  try {
    const list = await models(server());
    app.patch({ models: list, server: 'ready' });
  } catch (error) {
    if (apiKey !== app.value.apiKey) return; // asked again meanwhile
    const kind = error instanceof ApiError ? error.kind : 'unreachable';
    app.patch({ server: kind === 'key' || kind === 'loading' ? kind : 'unreachable' });
    if (kind !== 'key') askTimer = setTimeout(() => void askServer(), document.hidden ? 15_000 : 3000);
  }
}

export function currentModel(state: AppState): Model | undefined {
  return state.models.find(model => model.id === state.model) ?? state.models[0];
}

export const currentContext = (state: AppState): number | undefined => contextLength(currentModel(state));

// --- start ------------------------------------------------------------------------------------------------------------

export async function start(): Promise<void> {
  void askServer();
  const follow = () => {
    const id = location.hash.slice(2);
    if (id in app.value.conversations) openConversation(id);
    else if (app.value.current.id in app.value.conversations) newChat();
  };
  window.addEventListener('popstate', follow);
  window.addEventListener('pagehide', () => {
    for (const id of Object.keys(app.value.runs)) {
      const conversation = find(id);
      if (conversation) storage.saveInPassing(conversation);
    }
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && app.value.server !== 'ready') void askServer();
  });
  otherTabs?.addEventListener('message', ({ data }: MessageEvent<string>) => {
    if (data in app.value.runs) return;
    void storage.loadAll().then(all => {
      const conversations = Object.fromEntries(all.map(entry => [entry.id, entry]));
      const { current } = app.value;
      app.patch({
        conversations,
        list: listOf(conversations),
        ...(current.id in conversations && { current: conversations[current.id] }),
      });
    });
  });
  let all: Conversation[] = [];
  try {
    all = await storage.loadAll();
  } catch {
    toast('Earlier conversations could not be read from the browser’s storage.');
  }
  const conversations = Object.fromEntries(all.map(entry => [entry.id, mended(entry)]));
  app.patch({ ready: true, conversations, list: listOf(conversations) });
  if (!(await storage.durable())) toast('This browser keeps nothing: conversations end with this tab.');
  follow();
}
