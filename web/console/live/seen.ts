import { useEffect, useRef } from 'preact/hooks';

type Entered = () => () => void;

const inView = new WeakMap<Element, (seen: boolean) => void>();
let watcher: IntersectionObserver | null = null;

function watch(element: Element, changed: (seen: boolean) => void): () => void {
  watcher ??= new IntersectionObserver((entries) => {
    for (const e of entries) inView.get(e.target)?.(e.isIntersecting);
  }, { rootMargin: '100px' });
  inView.set(element, changed);
  watcher.observe(element);
  return () => {
    inView.delete(element);
    watcher?.unobserve(element);
  };
}

/** Calls entered when the element comes into view, and what that returns when it leaves. */
export function useSeen<E extends Element>(entered: Entered, about: unknown[]) {
  const ref = useRef<E>(null);
  useEffect(() => {
    let left: (() => void) | null = null;
    const unwatch = watch(ref.current!, (seen) => {
      if (seen === (left !== null)) return;
      left?.();
      left = seen ? entered() : null;
    });
    return () => {
      unwatch();
      left?.();
    };
  }, about);
  return ref;
}
