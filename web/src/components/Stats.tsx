// What an answer cost: tokens and time.
import { useId, useState } from 'preact/hooks';
import { running, type AssistantTurn } from '../chat/conversation';
import { count, duration, plural, rate } from '../lib/format';

/** Tokens a second while writing; the server's own figure where it tells. */
function speed(turn: AssistantTurn): number | undefined {
  if (turn.timings?.predicted_per_second) return turn.timings.predicted_per_second;
  const tokens = turn.usage?.completion_tokens ?? turn.pieces ?? 0;
  const ms = (turn.totalMs ?? 0) - (turn.firstMs ?? 0);
  return tokens > 1 && ms > 0 ? ((tokens - 1) * 1000) / ms : undefined;
}

export function Stats({ turn, now }: { turn: AssistantTurn; now: number }) {
  const [open, setOpen] = useState(false);
  const region = useId();
  if (running(turn)) {
    const ms = now - turn.time - (turn.firstMs ?? 0);
    if (!turn.pieces || ms < 300) return null;
    return (
      <span class="stats">
        {plural(turn.pieces, 'token')} · {rate((turn.pieces * 1000) / ms)}
      </span>
    );
  }
  const tokens = turn.usage?.completion_tokens ?? turn.pieces;
  if (!tokens) return null;
  const perSecond = speed(turn);
  const { usage, timings } = turn;
  const cached = usage?.prompt_tokens_details?.cached_tokens ?? timings?.cache_n;
  const reasoning = usage?.completion_tokens_details?.reasoning_tokens;
  const promptSpeed =
    timings?.prompt_n && timings.prompt_ms ? (timings.prompt_n * 1000) / timings.prompt_ms : undefined;
  const rows: [string, string | undefined][] = [
    ['Model', turn.model],
    ['Prompt', usage && `${plural(usage.prompt_tokens, 'token')}${cached ? `, ${count(cached)} of them cached` : ''}`],
    ['Waited in the queue', timings?.queue_ms && timings.queue_ms > 50 ? duration(timings.queue_ms) : undefined],
    ['Prompt read at', promptSpeed && rate(promptSpeed)],
    [
      'Thinking',
      reasoning ? `${plural(reasoning, 'token')}${turn.thinkMs ? ` in ${duration(turn.thinkMs)}` : ''}` : undefined,
    ],
    ['Answer', usage && plural(usage.completion_tokens - (reasoning ?? 0), 'token')],
    ['Written at', perSecond && rate(perSecond)],
    [
      'Speculation',
      timings?.draft_n
        ? `${count(timings.draft_n_accepted ?? 0)} of ${count(timings.draft_n)} guesses right`
        : undefined,
    ],
    ['First token after', turn.firstMs !== undefined ? duration(turn.firstMs) : undefined],
    ['Whole answer after', turn.totalMs !== undefined ? duration(turn.totalMs) : undefined],
  ] as [string, string | undefined][];
  return (
    <>
      <button
        type="button"
        class="stats"
        aria-expanded={open}
        aria-controls={region}
        onClick={() => setOpen(!open)}
        title="Tokens and times"
      >
        {plural(tokens, 'token')}
        {perSecond ? ` · ${rate(perSecond)}` : ''}
      </button>
      <dl id={region} class="figures" hidden={!open}>
        {rows
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
    </>
  );
}
