// An answer that did not come, or not to its end: what happened, and what can be done.
import { goOn, newChat, regenerate } from '../chat/state';
import type { AssistantTurn } from '../chat/conversation';
import type { ChatError } from '../api/errors';
import { showDialog, togglePanel } from '../chat/page';
import { Icon } from '../ui/Icon';

const titles: Record<ChatError['kind'], string> = {
  unreachable: 'The server does not answer',
  cut: 'The connection was lost',
  key: 'This server asks for an API key',
  busy: 'The server is busy',
  loading: 'The server is not ready yet',
  context: 'This conversation is longer than the model’s context',
  request: 'The server did not accept this',
  server: 'Something went wrong on the server',
};

const advice: Partial<Record<ChatError['kind'], string>> = {
  unreachable:
    'It may have been stopped, or this device has lost its network. Your conversation is kept in this browser.',
  cut: 'What had come so far is kept.',
  busy: 'Many requests are waiting. It was asked again several times.',
};

export function Problem({ turn }: { turn: AssistantTurn }) {
  const error = turn.error!;
  return (
    <div class="problem" role="alert">
      <Icon name="alert" />
      <div>
        <strong>{titles[error.kind]}</strong>
        <p>{advice[error.kind] ?? (error.kind === 'key' ? 'Enter it once, then try again.' : error.message)}</p>
        <div class="actions">
          {error.kind === 'key' && (
            <button type="button" class="primary" onClick={() => showDialog('key')}>
              Enter the API key
            </button>
          )}
          {error.kind === 'context' && (
            <>
              <button type="button" class="primary" onClick={() => regenerate(turn.id, true)}>
                Answer without the oldest turns
              </button>
              <button type="button" onClick={newChat}>
                New chat
              </button>
            </>
          )}
          {error.kind === 'request' && (
            <button type="button" onClick={() => togglePanel(true)}>
              Look at the settings
            </button>
          )}
          {error.kind === 'cut' && turn.content && (
            <button type="button" class="primary" onClick={() => goOn(turn.id)}>
              Go on
            </button>
          )}
          <button type="button" onClick={() => regenerate(turn.id)}>
            Try again
          </button>
        </div>
      </div>
    </div>
  );
}

// By the server's finish_reason.
const ends: Record<string, string> = {
  length: 'The answer stopped at the limit of tokens.',
  content_filter: 'The answer was held back by a filter.',
  loop: 'The answer was ended because it went round in circles.',
  deadline: 'The answer was ended by a time limit.',
  abort: 'The server ended the answer early.',
  error: 'The answer was ended by an error on the server.',
};

/** Why a complete answer ended, where that is worth a line. */
export function Ending({ turn, last }: { turn: AssistantTurn; last: boolean }) {
  const more = last && turn.content && !turn.toolCalls.length && (
    <button type="button" class="link" onClick={() => goOn(turn.id)}>
      Go on
    </button>
  );
  if (turn.status === 'stopped') return <p class="ending">Stopped. {more}</p>;
  if (turn.status !== 'done') return null;
  if (turn.finish && ends[turn.finish])
    return (
      <p class="ending">
        {ends[turn.finish]}
        {more}
        {turn.finish === 'length' && (
          <button type="button" class="link" onClick={() => togglePanel(true)}>
            Change the limit
          </button>
        )}
      </p>
    );
  return turn.content || turn.toolCalls.length ? null : (
    <p class="ending">
      {turn.reasoning ? 'The model thought, but gave no answer.' : 'The model gave an empty answer.'}
    </p>
  );
}
