// A text of the model's as Markdown, rendered while it grows.
import { memo } from 'preact/compat';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { copyText } from '../lib/browser';
import type { Block } from './rich';

type Rich = typeof import('./rich');
let rich: Rich | undefined;
let loading: Promise<Rich> | undefined;

/** Fetches the renderer ahead of its first use. */
export function loadRich(): Promise<Rich> {
  loading ??= import('./rich').then(module => (rich = module));
  loading.catch(() => (loading = undefined));
  return loading;
}

const BlockView = memo(
  function BlockView({ block, render }: { block: Block; render: Rich }) {
    const element = useRef<HTMLDivElement>(null);
    useLayoutEffect(() => render.fill(element.current!, block), [block.html]);
    return <div class="block" ref={element} />;
  },
  (before, after) => before.block.html === after.block.html,
);

const PLAIN_ABOVE = 400_000; // characters: longer texts are shown as they are

/** `far`: it is probably not on the screen, and need not be rendered before it nearly is. */
export function Markdown({ text, growing = false, far = false }: { text: string; growing?: boolean; far?: boolean }) {
  const [near, setNear] = useState(!far);
  const place = useRef<HTMLDivElement>(null);
  const [render, setRender] = useState(rich);
  const [now, setNow] = useState(text);
  const known = useRef<Block[]>([]);
  const latest = useRef(text);
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const cost = useRef(0);
  latest.current = text;
  useEffect(() => {
    if (!render)
      void loadRich().then(
        module => setRender(module),
        () => {},
      );
    return () => clearTimeout(timer.current ?? undefined);
  }, []);
  // While it grows, rendering takes at most a fifth of the time, however long the text has become.
  useEffect(() => {
    if (!growing || now === text || timer.current !== null) return;
    timer.current = setTimeout(() => {
      timer.current = null;
      setNow(latest.current);
    }, cost.current * 4);
  }, [now, text, growing]);

  useEffect(() => {
    if (near || !place.current) return undefined;
    const observer = new IntersectionObserver(entries => entries.some(entry => entry.isIntersecting) && setNear(true), {
      root: place.current.closest('.thread'),
      rootMargin: '1500px',
    });
    observer.observe(place.current);
    return () => observer.disconnect();
  }, [near]);

  const shown = growing ? now : text;
  if (!render || !near || shown.length > PLAIN_ABOVE)
    return (
      <div class="prose plain" dir="auto" ref={place}>
        {shown}
      </div>
    );
  const start = performance.now();
  // Once complete, everything is rendered anew: a link may have got its address at the end.
  try {
    known.current = render.blocks(shown, growing ? known.current : []);
  } catch {
    // A fault of the renderer's must not take the page along.
    return (
      <div class="prose plain" dir="auto">
        {shown}
      </div>
    );
  }
  cost.current = performance.now() - start;
  return (
    <div class="prose" dir="auto" onClick={onClick}>
      {known.current.map((block, place) => (
        <BlockView key={place} block={block} render={render} />
      ))}
    </div>
  );
}

/** The buttons in the code blocks, which are not components. */
function onClick(event: MouseEvent): void {
  const button = (event.target as HTMLElement).closest<HTMLButtonElement>('figure.code button');
  const figure = button?.closest('figure');
  if (!button || !figure) return;
  if (button.classList.contains('wrap')) {
    const on = figure.classList.toggle('wrapped');
    button.setAttribute('aria-pressed', String(on));
    return;
  }
  void copyText(figure.querySelector('code')?.textContent ?? '').then(done => {
    button.textContent = done ? 'Copied' : 'Not allowed';
    setTimeout(() => (button.textContent = 'Copy'), 1500);
  });
}
