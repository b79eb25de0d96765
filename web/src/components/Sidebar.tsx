// The list of conversations.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { app, deleteConversation, newChat, openConversation, rename, type ListEntry } from '../chat/state';
import { narrow, page, searchWish, setTheme, showDialog, toggleSidebar, type Theme } from '../chat/page';
import { dayGroup } from '../lib/format';
import { useStore } from '../lib/store';
import { Icon, type IconName } from '../ui/Icon';
import { IconButton } from '../ui/controls';

function Entry({ entry, current, busy }: { entry: ListEntry; current: boolean; busy: boolean }) {
  const [title, setTitle] = useState<string>();
  const field = useRef<HTMLInputElement>(null);
  const edited = title !== undefined;
  useEffect(() => field.current?.select(), [edited]);
  const done = () => {
    if (title !== undefined) rename(entry.id, title);
    setTitle(undefined);
  };
  if (edited)
    return (
      <li class="entry current">
        <input
          ref={field}
          aria-label="Title"
          value={title}
          onInput={event => setTitle(event.currentTarget.value)}
          onBlur={done}
          onKeyDown={event => {
            if (event.key === 'Enter') done();
            else if (event.key === 'Escape') setTitle(undefined);
            event.stopPropagation();
          }}
        />
      </li>
    );
  return (
    <li class={`entry ${current ? 'current' : ''}`}>
      <button
        type="button"
        class="open"
        aria-current={current ? 'page' : undefined}
        title={entry.title}
        onClick={() => (openConversation(entry.id), narrow() && toggleSidebar(false))}
        onDblClick={() => setTitle(entry.title)}
      >
        <span>{entry.title}</span>
        {busy && <i class="pulse" role="img" aria-label="Answering" />}
      </button>
      <IconButton icon="edit" label={`Rename “${entry.title}”`} title="Rename" onClick={() => setTitle(entry.title)} />
      <IconButton
        icon="trash"
        label={`Delete “${entry.title}”`}
        title="Delete"
        onClick={() => deleteConversation(entry.id)}
      />
    </li>
  );
}

const nextTheme: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };
const themeIcon: Record<Theme, IconName> = { system: 'half', light: 'sun', dark: 'moon' };

/** Whether a conversation speaks of it, in its title or any of its turns. */
function holds(entry: ListEntry, words: string[]): boolean {
  const conversation = app.value.conversations[entry.id];
  const text = [entry.title, ...Object.values(conversation?.turns ?? {}).map(turn => turn.content)]
    .join('\n')
    .toLowerCase();
  return words.every(word => text.includes(word));
}

export function Sidebar() {
  const open = useStore(page, state => state.sidebar);
  const theme = useStore(page, state => state.theme);
  const list = useStore(app, state => state.list);
  const current = useStore(app, state => state.current.id);
  const runs = useStore(app, state => state.runs);
  const [search, setSearch] = useState('');
  const searchField = useRef<HTMLInputElement>(null);
  const wish = useStore(searchWish, count => count);
  // At once where the list is open, so that no key typed next goes astray; else when it has been opened.
  useEffect(() => searchWish.subscribe(() => searchField.current?.focus()), []);
  useLayoutEffect(() => {
    if (wish && open) searchField.current?.focus();
  }, [wish]);
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = useMemo(() => (words.length ? list.filter(entry => holds(entry, words)) : list), [list, search]);
  const groups = useMemo(() => {
    const map = new Map<string, ListEntry[]>();
    for (const entry of found) {
      const name = dayGroup(entry.updated);
      map.set(name, [...(map.get(name) ?? []), entry]);
    }
    return [...map];
  }, [found]);
  return (
    <nav class="sidebar" aria-label="Conversations" inert={!open} id="sidebar">
      <div class="sidebar-top">
        <a class="brand" href="." onClick={event => (event.preventDefault(), newChat())}>
          <img src="favicon.svg" alt="" width="24" height="24" /> MiniMax
        </a>
        <IconButton
          icon="sidebar"
          label="Close the list"
          title="Close the list (Ctrl+B)"
          onClick={() => toggleSidebar(false)}
        />
      </div>
      <button type="button" class="new" onClick={() => (newChat(), narrow() && toggleSidebar(false))}>
        <Icon name="plus" /> New chat
      </button>
      <label class="search">
        <Icon name="search" />
        <input
          type="search"
          ref={searchField}
          aria-label="Search conversations"
          placeholder="Search"
          value={search}
          onInput={event => setSearch(event.currentTarget.value)}
        />
      </label>
      <div class="entries" tabIndex={-1}>
        {groups.map(([name, entries]) => (
          <section key={name} aria-label={name}>
            <h2>{name}</h2>
            <ul>
              {entries.map(entry => (
                <Entry key={entry.id} entry={entry} current={entry.id === current} busy={entry.id in runs} />
              ))}
            </ul>
          </section>
        ))}
        {!found.length && (
          <p class="none">
            {words.length ? 'Nothing found.' : 'Your conversations will be listed here. They stay in this browser.'}
          </p>
        )}
      </div>
      <div class="sidebar-end">
        <button type="button" class="plain-button" onClick={() => showDialog('page')}>
          <Icon name="gear" /> Settings and data
        </button>
        <IconButton icon={themeIcon[theme]} label={`Theme: ${theme}`} onClick={() => setTheme(nextTheme[theme])} />
      </div>
    </nav>
  );
}
