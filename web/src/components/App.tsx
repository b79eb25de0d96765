// The whole page, and its keyboard.
import { useEffect } from 'preact/hooks';
import { app, dismissToast, newChat, regenerate, stop, toast } from '../chat/state';
import { shownTurns, type AssistantTurn } from '../chat/conversation';
import {
  composerWish,
  narrow,
  page,
  searchWish,
  setThinkingOpen,
  showDialog,
  togglePanel,
  toggleSidebar,
} from '../chat/page';
import { copyText } from '../lib/browser';
import { useStore } from '../lib/store';
import { IconButton } from '../ui/controls';
import { Composer } from './Composer';
import { Dialogs } from './Dialogs';
import { Header } from './Header';
import { Panel } from './Panel';
import { Sidebar } from './Sidebar';
import { Thread } from './Thread';

const lastAnswer = () =>
  shownTurns(app.value.current).findLast(turn => turn.role === 'assistant') as AssistantTurn | undefined;

function moveFocus(step: number): void {
  const turns = [...document.querySelectorAll<HTMLElement>('article.turn')];
  const here = turns.indexOf((document.activeElement as HTMLElement | null)?.closest('article.turn') as HTMLElement);
  const next = turns[here < 0 ? (step < 0 ? turns.length - 1 : 0) : here + step];
  if (!next) return composerWish.value === null ? void (composerWish.value = {}) : undefined;
  next.focus();
  next.scrollIntoView({ block: 'nearest' });
}

function onKeyDown(event: KeyboardEvent): void {
  if (document.querySelector('dialog[open]') || event.defaultPrevented) return;
  const command = event.ctrlKey || event.metaKey;
  const target = event.target as HTMLElement;
  const writing = target.matches('input, textarea, select');
  const act = (): (() => void) | undefined => {
    if (event.key === 'Escape') {
      if (app.value.current.id in app.value.runs) return () => stop();
      if (narrow() && page.value.sidebar) return () => toggleSidebar(false);
      if (page.value.panel) return () => togglePanel(false);
      return writing ? undefined : () => (composerWish.value = {});
    }
    if (command && event.shiftKey && event.code === 'KeyO') return newChat;
    if (command && !event.shiftKey && !event.altKey) {
      if (event.key === 'k') return () => (toggleSidebar(true), ++searchWish.value);
      if (event.key === 'b') return () => toggleSidebar();
      if (event.key === ',') return () => togglePanel();
    }
    if (event.altKey && !command) {
      if (event.key === 'ArrowUp') return () => moveFocus(-1);
      if (event.key === 'ArrowDown') return () => moveFocus(1);
      const last = lastAnswer();
      if (event.code === 'KeyC' && last)
        return () =>
          void copyText(last.content).then(done =>
            toast(done ? 'Answer copied.' : 'The browser does not allow copying.'),
          );
      if (event.code === 'KeyR' && last) return () => regenerate(last.id);
      if (event.code === 'KeyT') return () => setThinkingOpen(!page.value.thinkingOpen);
    }
    if (!writing && !command && !event.altKey) {
      if (event.key === '/') return () => (composerWish.value = {});
      if (event.key === '?') return () => showDialog('shortcuts');
    }
    return undefined;
  };
  const action = act();
  if (!action) return;
  event.preventDefault();
  action();
}

function ToastView() {
  const shown = useStore(app, state => state.toast);
  return (
    <div class="toasts" role="status">
      {shown && (
        <div class="toast">
          <span>{shown.text}</span>
          {shown.action && (
            <button type="button" onClick={() => (shown.action?.run(), dismissToast())}>
              {shown.action.label}
            </button>
          )}
          <IconButton icon="close" label="Dismiss" onClick={dismissToast} />
        </div>
      )}
    </div>
  );
}

export function App() {
  const sidebar = useStore(page, state => state.sidebar);
  const panel = useStore(page, state => state.panel);
  useEffect(() => {
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, []);
  return (
    <div class={`app ${sidebar ? 'with-sidebar' : ''} ${panel ? 'with-panel' : ''}`}>
      <a class="skip" href="#composer" onClick={event => (event.preventDefault(), (composerWish.value = {}))}>
        To the message
      </a>
      <Sidebar />
      <div class="scrim" onClick={() => (toggleSidebar(false), togglePanel(false))} />
      <main class="main">
        <Header />
        <Thread />
        <Composer />
      </main>
      <Panel />
      <Dialogs />
      <ToastView />
    </div>
  );
}
