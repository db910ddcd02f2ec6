import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** A place whose code is loaded when somebody first goes there: the console's first paint is for what goes on now. */
export function lazily<P extends { failed: (e: unknown) => void }>(load: () => Promise<{ default: ComponentType<P> }>): ComponentType<P> {
  let loaded: ComponentType<P> | null = null;
  return function Lazily(props: P) {
    const [Place, setPlace] = useState<ComponentType<P> | null>(() => loaded);
    useEffect(() => {
      if (Place) return;
      load().then((m) => {
        loaded = m.default;
        setPlace(() => m.default);
      }, props.failed);
    }, []);
    return Place ? <Place {...props} /> : <p class="hint">Looking…</p>;
  };
}
