import { useEffect, useState } from 'preact/hooks';

/** What look gives, again and again while the page is seen and once more when again is called; null before the first. */
export function usePoll<T>(look: () => Promise<T>, every: number, failed: (e: unknown) => void): [T | null, () => void] {
  const [seen, setSeen] = useState<T | null>(null);
  const [round, setRound] = useState(0);
  useEffect(() => {
    let over = false;
    let timer: ReturnType<typeof setTimeout>;
    const once = async () => {
      try {
        if (!document.hidden || seen === null) {
          const now = await look();
          if (!over) setSeen(now);
        }
      } catch (e) {
        if (!over) failed(e);
      }
      if (!over && every > 0) timer = setTimeout(once, every);
    };
    once();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [round]);
  return [seen, () => setRound((n) => n + 1)];
}
