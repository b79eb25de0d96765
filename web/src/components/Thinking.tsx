// The thinking of an answer: folded, timed, its last lines in sight while it goes on.
import { useId, useState } from 'preact/hooks';
import { answerNow, app } from '../chat/state';
import type { AssistantTurn } from '../chat/conversation';
import { page } from '../chat/page';
import { count, duration } from '../lib/format';
import { useStore } from '../lib/store';
import { Markdown } from '../text/Markdown';
import { Icon } from '../ui/Icon';
import { CopyButton, useNow } from '../ui/controls';

/** The last words of a text, for one glance. */
function tail(text: string): string {
  const end = text.trimEnd().slice(-480);
  const space = end.indexOf(' ');
  return end.length < 480 || space < 0 ? end : end.slice(space + 1);
}

export function Thinking({ turn }: { turn: AssistantTurn }) {
  const thinking = turn.status === 'thinking';
  const openFromStart = useStore(page, state => state.thinkingOpen);
  const canEnd = useStore(app, state => state.canEndThinking && state.runs[state.current.id]?.turn === turn.id);
  const [chosen, setChosen] = useState<boolean>();
  const open = chosen ?? openFromStart;
  const region = useId();
  const now = useNow(thinking, 500);
  const started = turn.time + (turn.firstMs ?? 0);
  const ms = thinking ? Math.max(now - started, turn.thinkMs ?? 0) : (turn.thinkMs ?? 0);
  const tokens = turn.usage?.completion_tokens_details?.reasoning_tokens;
  return (
    <div role="group" class={`thinking ${thinking ? 'going' : ''}`} aria-label="Thinking">
      <div class="thinking-bar">
        <button type="button" class="fold" aria-expanded={open} aria-controls={region} onClick={() => setChosen(!open)}>
          <Icon name="bulb" />
          <span class="label">{thinking ? 'Thinking' : 'Thought'}</span>
          <span class="time">
            {thinking
              ? duration(Math.floor(ms / 1000) * 1000).replace('.0', '')
              : ms >= 100
                ? `for ${duration(ms)}`
                : ''}
          </span>
          {tokens ? (
            <span class="tokens">
              {count(tokens)} {tokens === 1 ? 'token' : 'tokens'}
            </span>
          ) : null}
          <Icon name="down" />
        </button>
        {thinking && canEnd && (
          <button
            type="button"
            class="quiet"
            onClick={() => void answerNow()}
            title="End the thinking here and go on to the answer"
          >
            Answer now
          </button>
        )}
        {open && !thinking && <CopyButton text={turn.reasoning.trim()} label="Copy thinking" />}
      </div>
      {!open && thinking && (
        <p class="tail" aria-hidden="true">
          <span>{tail(turn.reasoning)}</span>
        </p>
      )}
      <div id={region} class="thought" hidden={!open}>
        {open && <Markdown text={turn.reasoning.trim()} growing={thinking} />}
      </div>
    </div>
  );
}
