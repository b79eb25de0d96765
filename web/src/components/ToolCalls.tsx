// The calls a model makes, and the results that the user gives it: this page runs no tools of its own.
import { useState } from 'preact/hooks';
import { answerCalls } from '../chat/state';
import type { AssistantTurn, ToolTurn } from '../chat/conversation';
import type { ToolCall } from '../api/types';
import { Markdown } from '../text/Markdown';
import { Icon } from '../ui/Icon';
import { CopyButton, GrowingText } from '../ui/controls';

function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json; // still being written, or not JSON at all
  }
}

function Call({ call }: { call: ToolCall }) {
  const text = pretty(call.function.arguments);
  return (
    <div class="call">
      <div class="call-name">
        <Icon name="tool" />
        <span>
          Calls <code>{call.function.name || '…'}</code>
        </span>
        <CopyButton text={text} label="Copy arguments" />
      </div>
      {text && text !== '{}' && <Markdown text={'```json\n' + text + '\n```'} />}
    </div>
  );
}

export function ToolCalls({ turn, waiting }: { turn: AssistantTurn; waiting: boolean }) {
  const [results, setResults] = useState<string[]>([]);
  const submit = (event: Event) => {
    event.preventDefault();
    answerCalls(
      turn.id,
      turn.toolCalls.map((_, place) => results[place] ?? ''),
    );
  };
  return (
    <div role="group" class="calls" aria-label="Tool calls">
      {turn.toolCalls.map(call => (
        <Call key={call.id} call={call} />
      ))}
      {waiting && (
        <form class="results" onSubmit={submit}>
          {turn.toolCalls.map((call, place) => (
            <label key={call.id}>
              <span>
                Result of <code>{call.function.name}</code>
              </span>
              <GrowingText
                required
                spellcheck={false}
                placeholder='What the tool answers, for example {"ok": true}'
                value={results[place] ?? ''}
                onInput={event =>
                  setResults(
                    turn.toolCalls.map((_, at) => (at === place ? event.currentTarget.value : (results[at] ?? ''))),
                  )
                }
              />
            </label>
          ))}
          <button type="submit" class="primary">
            {turn.toolCalls.length > 1 ? 'Send results' : 'Send result'}
          </button>
        </form>
      )}
    </div>
  );
}

export function ToolResult({ turn }: { turn: ToolTurn }) {
  return (
    <details class="tool-result">
      <summary>
        <Icon name="check" /> Result of <code>{turn.name}</code>
      </summary>
      <pre tabIndex={0}>{pretty(turn.content)}</pre>
    </details>
  );
}
