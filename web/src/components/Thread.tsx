// The conversation on the screen. It follows its end while the reader is there, and stays where the reader scrolled to.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { app, currentModel } from '../chat/state';
import { running, shownTurns, type AnyTurn, type AssistantTurn } from '../chat/conversation';
import { composerWish } from '../chat/page';
import { plural } from '../lib/format';
import { useStore } from '../lib/store';
import { IconButton } from '../ui/controls';
import { Turn } from './Turn';

const NEAR_END = 60; // pixels

const MANY = 40; // turns: of longer conversations only what is near the screen is rendered
const NEAR_TURNS = 8;

function place(counts: Map<string, AnyTurn[]>, turns: AnyTurn[], index: number) {
  const turn = turns[index];
  const versions = counts.get(turn.parent ?? '') ?? [turn];
  return {
    position: versions.indexOf(turn) + 1,
    versions: versions.length,
    last: index === turns.length - 1,
    far: turns.length > MANY && index < turns.length - NEAR_TURNS,
  };
}

function Welcome() {
  const model = useStore(app, state => currentModel(state)?.id);
  const suggestions = [
    ['Prove it', 'Prove that there are infinitely many primes, in two different ways.'],
    [
      'Write code',
      'Write a C++20 function that finds the k-th smallest of two sorted arrays, and explain why it is O(log n).',
    ],
    [
      'Work it out',
      'A train leaves at 9:40 at 80 km/h, another follows at 10:10 at 110 km/h. When and where do they meet?',
    ],
    ['Explain', 'Explain linear attention to someone who knows ordinary attention. Use formulas.'],
  ];
  return (
    <div class="welcome">
      <img src="favicon.svg" alt="" width="56" height="56" />
      <h2>What shall we think about?</h2>
      <p>
        {model ? (
          <>
            You are talking with <strong>{model}</strong>, on your own server.
          </>
        ) : (
          'A model on your own server.'
        )}
      </p>
      <ul>
        {suggestions.map(([title, text]) => (
          <li key={title}>
            <button type="button" onClick={() => (composerWish.value = { text })}>
              <strong>{title}</strong>
              <span>{text}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** What a screen reader is told: the stages of an answer, not its every word. */
function announcement(turn: AnyTurn | undefined): string {
  if (turn?.role !== 'assistant') return '';
  const { status, toolCalls } = turn as AssistantTurn;
  if (status === 'thinking') return 'Thinking';
  if (status === 'answering') return 'Answering';
  if (status === 'done')
    return toolCalls.length ? `The model calls ${plural(toolCalls.length, 'tool')}` : 'Answer complete';
  return status === 'stopped' ? 'Stopped' : '';
}

export function Thread() {
  const conversation = useStore(app, state => state.current);
  const turns = useMemo(() => shownTurns(conversation), [conversation]);
  const counts = useMemo(() => {
    const map = new Map<string, AnyTurn[]>();
    for (const turn of Object.values(conversation.turns))
      map.set(turn.parent ?? '', [...(map.get(turn.parent ?? '') ?? []), turn]);
    return map;
  }, [conversation]);
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const [away, setAway] = useState(false);

  const toEnd = (behavior: ScrollBehavior = 'instant') =>
    scroller.current?.scrollTo({ top: scroller.current.scrollHeight, behavior });
  useEffect(() => {
    const box = scroller.current!;
    let before = box.scrollTop;
    const onScroll = () => {
      const near = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END;
      // Only a move upwards is the reader's wish: growing text moves the end away by itself.
      if (near) following.current = true;
      else if (box.scrollTop < before - 2) following.current = false;
      before = box.scrollTop;
      setAway(!near && !following.current);
    };
    box.addEventListener('scroll', onScroll, { passive: true });
    const observer = new ResizeObserver(() => {
      if (following.current) toEnd();
    });
    observer.observe(content.current!);
    observer.observe(box);
    return () => {
      box.removeEventListener('scroll', onScroll);
      observer.disconnect();
    };
  }, []);

  const last = turns.at(-1);
  useEffect(() => {
    following.current = true;
    setAway(false);
    toEnd();
  }, [conversation.id, last && running(last) ? last.id : '']);

  return (
    <div class="thread" ref={scroller}>
      <div class={`turns ${turns.length > MANY ? 'many' : ''}`} ref={content}>
        {turns.length === 0 && <Welcome />}
        {turns.map((turn, index) => (
          <Turn key={turn.id} turn={turn} {...place(counts, turns, index)} />
        ))}
      </div>
      {away && (
        <IconButton
          class="to-end"
          icon="down"
          label="To the end"
          onClick={() => ((following.current = true), setAway(false), toEnd('smooth'))}
        />
      )}
      <div class="visually-hidden" role="status">
        {announcement(last)}
      </div>
    </div>
  );
}
