// A value that components subscribe to.
import { useEffect, useLayoutEffect, useReducer, useRef } from 'preact/hooks';

export class Store<T> {
  private listeners = new Set<() => void>();

  constructor(private current: T) {}

  get value(): T {
    return this.current;
  }

  set value(next: T) {
    if (Object.is(next, this.current)) return;
    this.current = next;
    for (const listener of [...this.listeners]) listener();
  }

  /** Replaces some fields. */
  patch(part: Partial<T>): void {
    this.value = { ...this.current, ...part };
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** What `select` sees in the store; renders again only when that changes. */
export function useStore<T, S>(store: Store<T>, select: (value: T) => S): S {
  const [, render] = useReducer<number, void>(count => count + 1, 0);
  const selected = select(store.value);
  const latest = useRef({ select, selected });
  useLayoutEffect(() => {
    latest.current = { select, selected };
  });
  useEffect(() => {
    const check = () => {
      if (!Object.is(latest.current.select(store.value), latest.current.selected)) render();
    };
    check(); // it may have changed between rendering and now
    return store.subscribe(check);
  }, [store]);
  return selected;
}
