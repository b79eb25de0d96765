// What is opened over the page: its settings and data, the keyboard's shortcuts, the API key.
import { useEffect, useState } from 'preact/hooks';
import { addConversations, app, deleteEverything, setApiKey, toast } from '../chat/state';
import { page, setTheme, setThinkingOpen, showDialog, type Theme } from '../chat/page';
import { fromJson, toJson } from '../chat/transfer';
import { download, onApple, pickFiles } from '../lib/browser';
import { plural } from '../lib/format';
import { useStore } from '../lib/store';
import { Dialog } from '../ui/controls';

const close = () => showDialog(null);

async function importFiles(): Promise<void> {
  for (const file of await pickFiles('.json,application/json', true))
    try {
      const conversations = fromJson(await file.text());
      addConversations(conversations);
      toast(`${plural(conversations.length, 'conversation')} imported.`);
    } catch (error) {
      toast(`${file.name} could not be imported: ${(error as Error).message}.`);
    }
}

function PageDialog() {
  const theme = useStore(page, state => state.theme);
  const thinkingOpen = useStore(page, state => state.thinkingOpen);
  const kept = useStore(app, state => state.list.length);
  const hasKey = useStore(app, state => state.apiKey !== '');
  const [sure, setSure] = useState(false);
  const [bytes, setBytes] = useState<number>();
  useEffect(() => void navigator.storage?.estimate?.().then(({ usage }) => setBytes(usage)), [kept]);
  const exportAll = () =>
    download(
      `minimax-${new Date().toISOString().slice(0, 10)}.json`,
      'application/json',
      toJson(Object.values(app.value.conversations)),
    );
  return (
    <Dialog title="Settings and data" onClose={close}>
      <fieldset class="choices">
        <legend>Theme</legend>
        {(['system', 'light', 'dark'] as Theme[]).map(name => (
          <label key={name}>
            <input type="radio" name="theme" checked={theme === name} onChange={() => setTheme(name)} />
            <span>{name === 'system' ? 'As the system' : name === 'light' ? 'Light' : 'Dark'}</span>
          </label>
        ))}
      </fieldset>
      <label class="check">
        <input
          type="checkbox"
          checked={thinkingOpen}
          onChange={event => setThinkingOpen(event.currentTarget.checked)}
        />
        <span>Show thinking unfolded</span>
      </label>
      <h3>Data</h3>
      <p class="hint">
        {kept
          ? `${plural(kept, 'conversation')} kept in this browser${bytes ? `, ${(bytes / 1e6).toFixed(1)} MB` : ''}. `
          : 'Nothing is kept yet. '}
        The server stores none of it.
      </p>
      <div class="actions">
        <button type="button" onClick={exportAll} disabled={!kept}>
          Export all
        </button>
        <button type="button" onClick={() => void importFiles()}>
          Import…
        </button>
        {sure ? (
          <button type="button" class="danger" onClick={() => void deleteEverything().then(() => setSure(false))}>
            Delete {plural(kept, 'conversation')} for good
          </button>
        ) : (
          <button type="button" onClick={() => setSure(true)} disabled={!kept}>
            Delete all…
          </button>
        )}
      </div>
      <h3>Server</h3>
      <div class="actions">
        <button type="button" onClick={() => showDialog('key')}>
          {hasKey ? 'Change the API key' : 'Enter an API key'}
        </button>
        <button type="button" onClick={() => showDialog('shortcuts')}>
          Keyboard shortcuts
        </button>
      </div>
      <p class="hint">
        <a href="licenses.txt" target="_blank" rel="noopener">
          Licenses
        </a>{' '}
        of the libraries in this page
      </p>
    </Dialog>
  );
}

function KeyDialog() {
  const [key, setKey] = useState('');
  const [remember, setRemember] = useState(false);
  const submit = (event: Event) => {
    event.preventDefault();
    setApiKey(key.trim(), remember);
    close();
  };
  return (
    <Dialog title="API key" onClose={close}>
      <form onSubmit={submit}>
        <p class="hint">Sent with every request to this server, and to no other.</p>
        <input
          class="wide"
          type="password"
          autocomplete="off"
          autofocus
          aria-label="API key"
          value={key}
          onInput={event => setKey(event.currentTarget.value)}
        />
        <label class="check">
          <input type="checkbox" checked={remember} onChange={event => setRemember(event.currentTarget.checked)} />
          <span>
            Remember it in this browser<small>Only on a device of your own.</small>
          </span>
        </label>
        <div class="actions">
          <button type="submit" class="primary">
            {key.trim() ? 'Use this key' : 'Use no key'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

const ctrl = onApple ? '⌘' : 'Ctrl';
const alt = onApple ? '⌥' : 'Alt';
const shortcuts: [string[], string][] = [
  [['Enter'], 'Send'],
  [['Shift', 'Enter'], 'New line'],
  [['Esc'], 'Stop the answer, close what is open'],
  [['↑'], 'In an empty message: edit the last question'],
  [[ctrl, 'Shift', 'O'], 'New chat'],
  [[ctrl, 'K'], 'Search conversations'],
  [[ctrl, 'B'], 'Show or hide the list'],
  [[ctrl, ','], 'Conversation settings'],
  [['/'], 'To the message'],
  [[alt, '↑'], 'To the turn before'],
  [[alt, '↓'], 'To the next turn'],
  [[alt, 'C'], 'Copy the last answer'],
  [[alt, 'R'], 'Answer again'],
  [[alt, 'T'], 'Unfold or fold all thinking'],
  [['?'], 'These shortcuts'],
];

function Shortcuts() {
  return (
    <Dialog title="Keyboard shortcuts" onClose={close}>
      <table class="shortcuts">
        <tbody>
          {shortcuts.map(([keys, text]) => (
            <tr key={text}>
              <th scope="row">{text}</th>
              <td>
                {keys.map(key => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Dialog>
  );
}

export function Dialogs() {
  const dialog = useStore(page, state => state.dialog);
  if (dialog === 'page') return <PageDialog />;
  if (dialog === 'key') return <KeyDialog />;
  return dialog === 'shortcuts' ? <Shortcuts /> : null;
}
