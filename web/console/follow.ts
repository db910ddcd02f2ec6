import { Refused, key, problemOf } from './rest';

/** One of Server-Sent Events. */
export interface Told {
  id: string;
  type: string;
  data: any;
}

const SILENCE = 40_000; // ms without a byte, heartbeats included, until it is asked for anew
const HIDDEN = 10_000; // ms after which a page that nobody sees lets go: browsers have few connections for one host
const PAUSES = [500, 1000, 2000, 5000]; // ms before it is tried again

interface Watch {
  told: (t: Told) => void;
  /** It stands, or it broke and is made again. */
  connected?: (on: boolean) => void;
  /** It was refused and is not tried again. */
  refused: (e: unknown) => void;
}

/**
 * Follows a stream of events with the key, from where it broke off. EventSource
 * can send no key and says nothing of refusals. Returns what ends it.
 */
export function follow(path: string, { told, connected = () => {}, refused }: Watch): () => void {
  const ended = new AbortController();
  let last = '';
  const run = async () => {
    for (let failures = 0; !ended.signal.aborted;) {
      if (document.hidden) await new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }));
      if (ended.signal.aborted) return;
      try {
        await once(path, last, ended.signal, (t) => {
          last = t.id || last;
          told(t);
        }, () => {
          failures = 0;
          connected(true);
        });
      } catch (e) {
        if (ended.signal.aborted) return;
        if (e instanceof Refused && e.status >= 400 && e.status < 500 && e.status !== 429) {
          refused(e);
          return;
        }
      }
      if (document.hidden) continue;
      connected(false);
      const pause = PAUSES[Math.min(failures++, PAUSES.length - 1)]!;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  };
  run();
  return () => ended.abort();
}

async function once(path: string, last: string, ended: AbortSignal, told: (t: Told) => void, stands: () => void): Promise<void> {
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), SILENCE);
  let hiding: ReturnType<typeof setTimeout> | undefined;
  const seen = () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(() => silent.abort(), HIDDEN);
  };
  document.addEventListener('visibilitychange', seen);
  try {
    const answer = await fetch(path, {
      headers: { Authorization: `Bearer ${key.get()}`, Accept: 'text/event-stream', ...(last ? { 'Last-Event-ID': last } : {}) },
      signal: AbortSignal.any([ended, silent.signal]),
    });
    if (!answer.ok) throw await problemOf(answer);
    stands();
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE);
      const parts = (text + value).split('\n\n');
      text = parts.pop()!;
      for (const part of parts) {
        const t = parse(part);
        if (t) told(t);
      }
    }
  } finally {
    document.removeEventListener('visibilitychange', seen);
    clearTimeout(hiding);
    clearTimeout(timer);
  }
}

/** null for a comment. */
function parse(part: string): Told | null {
  const t: Told = { id: '', type: 'message', data: null };
  let data = '';
  for (const line of part.split('\n')) {
    const at = line.indexOf(': ');
    const value = line.slice(at + 2);
    switch (line.slice(0, Math.max(at, 0))) {
      case 'id': t.id = value; break;
      case 'event': t.type = value; break;
      case 'data': data += value; break;
    }
  }
  if (data === '') return null;
  t.data = JSON.parse(data);
  return t;
}
