// The line above the conversation: its title, the model, the server's state.
import { app, askServer, chooseModel, currentModel, newChat } from '../chat/state';
import { titleOf } from '../chat/conversation';
import { page, showDialog, togglePanel, toggleSidebar } from '../chat/page';
import { changedSettings } from '../chat/settings';
import { useStore } from '../lib/store';
import { IconButton } from '../ui/controls';

const states = {
  asking: 'Connecting…',
  ready: 'Connected',
  loading: 'The model is loading…',
  key: 'An API key is needed',
  unreachable: 'The server does not answer. Trying again…',
} as const;

export function Header() {
  const sidebar = useStore(page, state => state.sidebar);
  const panel = useStore(page, state => state.panel);
  const title = useStore(app, state => titleOf(state.current));
  const server = useStore(app, state => state.server);
  const models = useStore(app, state => state.models);
  const model = useStore(app, state => currentModel(state)?.id ?? '');
  const changed = useStore(app, state => changedSettings(state.current.settings));
  return (
    <header class="top">
      {!sidebar && (
        <IconButton
          icon="sidebar"
          label="Conversations"
          title="Conversations (Ctrl+B)"
          aria-expanded={false}
          aria-controls="sidebar"
          onClick={() => toggleSidebar(true)}
        />
      )}
      {!sidebar && <IconButton icon="plus" label="New chat" onClick={newChat} />}
      <div class="heading">
        <h1 title={title}>{title}</h1>
        <span class={`model ${server}`}>
          <i class="dot" role="img" aria-label={states[server]} title={states[server]} />
          {server === 'key' ? (
            <button type="button" class="link" onClick={() => showDialog('key')}>
              Enter the API key
            </button>
          ) : server !== 'ready' ? (
            <span role="status">{states[server]}</span>
          ) : models.length > 1 ? (
            <select
              aria-label="Model"
              value={model}
              onChange={event => chooseModel(event.currentTarget.value)}
              onFocus={() => void askServer()}
            >
              {models.map(({ id }) => (
                <option key={id} value={id}>
                  {id}
                </option>
              ))}
            </select>
          ) : (
            <span title={model}>{model}</span>
          )}
        </span>
      </div>
      <IconButton
        icon="sliders"
        label={changed ? `Conversation settings, ${changed} changed` : 'Conversation settings'}
        title="Conversation settings (Ctrl+,)"
        class={changed ? 'marked' : ''}
        aria-expanded={panel}
        aria-controls="panel"
        onClick={() => togglePanel()}
      />
    </header>
  );
}
