// What is open on the page, and its theme: nothing that belongs to a conversation.
import { local } from '../lib/browser';
import { Store } from '../lib/store';

export type Theme = 'system' | 'light' | 'dark';
export type DialogName = 'page' | 'shortcuts' | 'key' | null;

interface PageState {
  sidebar: boolean;
  panel: boolean; // the settings of the conversation
  dialog: DialogName;
  theme: Theme;
  thinkingOpen: boolean; // thinking is unfolded from the start
}

export const narrow = (): boolean => matchMedia('(max-width: 52rem)').matches;

const theme = local.get('minimax-theme');
export const page = new Store<PageState>({
  sidebar: !narrow() && local.get('minimax-sidebar') !== 'closed',
  panel: false,
  dialog: null,
  theme: theme === 'light' || theme === 'dark' ? theme : 'system',
  thinkingOpen: local.get('minimax-thinking') === 'open',
});

export function setTheme(next: Theme): void {
  page.patch({ theme: next });
  if (next === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  local.set('minimax-theme', next === 'system' ? null : next);
}

export function toggleSidebar(open = !page.value.sidebar): void {
  page.patch({ sidebar: open, ...(open && narrow() && { panel: false }) });
  if (!narrow()) local.set('minimax-sidebar', open ? null : 'closed');
}

export function togglePanel(open = !page.value.panel): void {
  page.patch({ panel: open, ...(open && narrow() && { sidebar: false }) });
}

export function setThinkingOpen(open: boolean): void {
  page.patch({ thinkingOpen: open });
  local.set('minimax-thinking', open ? 'open' : null);
}

export const showDialog = (dialog: DialogName): void => page.patch({ dialog });

/** Asks the composer for the focus, perhaps with a text to put there. */
export const composerWish = new Store<{ text?: string } | null>(null);
/** Asks for the focus in the search field; counts the wishes. */
export const searchWish = new Store(0);
/** The question that is being edited. */
export const editing = new Store<string | null>(null);
