// One turn of a conversation.
import { memo } from 'preact/compat';
import { useEffect, useRef, useState } from 'preact/hooks';
import { app, deleteTurn, editAnswer, editQuestion, regenerate, showSibling } from '../chat/state';
import { running, type AnyTurn, type AssistantTurn, type UserTurn } from '../chat/conversation';
import { editing } from '../chat/page';
import { useStore } from '../lib/store';
import { shortCount } from '../lib/format';
import { Markdown } from '../text/Markdown';
import { Icon } from '../ui/Icon';
import { CopyButton, GrowingText, IconButton, useNow } from '../ui/controls';
import { Ending, Problem } from './Problem';
import { Stats } from './Stats';
import { Thinking } from './Thinking';
import { ToolCalls, ToolResult } from './ToolCalls';

interface Place {
  position: number; // among the versions of this turn, from 1
  versions: number;
  last: boolean; // of the conversation
  far: boolean; // from its end, where the reader begins
}

function Versions({ id, position, versions }: { id: string; position: number; versions: number }) {
  if (versions < 2) return null;
  return (
    <span class="versions" role="group" aria-label="Versions">
      <IconButton icon="left" label="Previous version" disabled={position === 1} onClick={() => showSibling(id, -1)} />
      <span>
        {position}
        <span aria-hidden="true"> / </span>
        <span class="visually-hidden"> of </span>
        {versions}
      </span>
      <IconButton
        icon="right"
        label="Next version"
        disabled={position === versions}
        onClick={() => showSibling(id, 1)}
      />
    </span>
  );
}

function Editor({
  text,
  label,
  onDone,
  onCancel,
}: {
  text: string;
  label: string;
  onDone: (text: string) => void;
  onCancel: () => void;
}) {
  const [value, setValue] = useState(text);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    field.current?.focus();
    field.current?.setSelectionRange(value.length, value.length);
  }, []);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') onCancel();
    else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && value.trim()) onDone(value);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <form class="editor" onSubmit={event => (event.preventDefault(), onDone(value))}>
      <GrowingText
        field={field}
        aria-label={label}
        value={value}
        onInput={event => setValue(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        dir="auto"
      />
      <div class="actions">
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
        <button type="submit" class="primary" disabled={!value.trim()}>
          {label === 'Edit question' ? 'Ask' : 'Keep'}
        </button>
      </div>
    </form>
  );
}

function Question({ turn, ...place }: { turn: UserTurn } & Place) {
  const isEdited = useStore(editing, id => id === turn.id);
  return (
    <article class="turn user" tabIndex={-1} aria-label="Your question" data-turn={turn.id}>
      {turn.attachments && (
        <ul class="files" aria-label="Files">
          {turn.attachments.map(({ name, text }) => (
            <li key={name}>
              <Icon name="file" /> {name} <small>{shortCount(text.length)} characters</small>
            </li>
          ))}
        </ul>
      )}
      {isEdited ? (
        <Editor
          text={turn.content}
          label="Edit question"
          onDone={text => ((editing.value = null), editQuestion(turn.id, text))}
          onCancel={() => (editing.value = null)}
        />
      ) : (
        turn.content && (
          <div class="bubble" dir="auto">
            {turn.content}
          </div>
        )
      )}
      {!isEdited && (
        <div class="tools">
          <Versions id={turn.id} position={place.position} versions={place.versions} />
          <CopyButton text={turn.content} />
          <IconButton icon="edit" label="Edit question" onClick={() => (editing.value = turn.id)} />
          <IconButton icon="trash" label="Delete from here" onClick={() => deleteTurn(turn.id)} />
        </div>
      )}
    </article>
  );
}

/** While the server has said nothing yet. */
function Waiting({ turn }: { turn: AssistantTurn }) {
  const run = useStore(app, state => state.runs[state.current.id]);
  const retryAt = run?.turn === turn.id ? run.retryAt : undefined;
  const now = useNow(true, 250);
  if (retryAt)
    return (
      <p class="waiting" role="status">
        {run?.retryReason === 'loading' ? 'The server is getting ready.' : 'The server is busy.'} Trying again{' '}
        {retryAt - now > 500 ? `in ${Math.round((retryAt - now) / 1000)} s` : 'now'}…
      </p>
    );
  const seconds = Math.floor((now - turn.time) / 1000);
  return (
    <p class="waiting">
      <span class="dots" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      {seconds >= 3 && <span>Reading the conversation, {seconds} s</span>}
    </p>
  );
}

function Answer({ turn, ...place }: { turn: AssistantTurn } & Place) {
  const [edited, setEdited] = useState(false);
  const busy = running(turn);
  const now = useNow(busy, 500);
  return (
    <article class="turn assistant" tabIndex={-1} aria-label="Answer" aria-busy={busy} data-turn={turn.id}>
      {turn.status === 'waiting' && <Waiting turn={turn} />}
      {turn.reasoning && <Thinking turn={turn} />}
      {edited ? (
        <Editor
          text={turn.content}
          label="Edit answer"
          onDone={text => (setEdited(false), editAnswer(turn.id, text))}
          onCancel={() => setEdited(false)}
        />
      ) : (
        turn.content && <Markdown text={turn.content} growing={busy} far={place.far} />
      )}
      {turn.toolCalls.length > 0 && <ToolCalls turn={turn} waiting={place.last && !busy} />}
      {turn.status === 'failed' && <Problem turn={turn} />}
      <Ending turn={turn} last={place.last} />
      {!edited && (
        <div class={`tools ${busy ? 'busy' : ''}`}>
          {!busy && (
            <>
              <Versions id={turn.id} position={place.position} versions={place.versions} />
              {turn.content && <CopyButton text={turn.content} label="Copy answer" />}
              {turn.status !== 'failed' && (
                <IconButton icon="redo" label="Answer again" onClick={() => regenerate(turn.id)} />
              )}
              {turn.content && <IconButton icon="edit" label="Edit answer" onClick={() => setEdited(true)} />}
              <IconButton icon="trash" label="Delete from here" onClick={() => deleteTurn(turn.id)} />
            </>
          )}
          <Stats turn={turn} now={now} />
        </div>
      )}
    </article>
  );
}

// A turn is replaced when it changes, so the others need not be rendered again while one grows.
export const Turn = memo(function Turn({ turn, ...place }: { turn: AnyTurn } & Place) {
  if (turn.role === 'user') return <Question turn={turn} {...place} />;
  if (turn.role === 'tool') return <ToolResult turn={turn} />;
  return <Answer turn={turn} {...place} />;
});
