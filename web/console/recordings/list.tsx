import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../rest';
import { clock, when } from '../text';
import type { Props } from './index';
import type { Recording } from './manifest';

/** What is looked for; an empty member is no condition. Times are as the browser's own fields write them, local. */
interface Wanted {
  room: string;
  user: string;
  label: string;
  from: string;
  to: string;
}

const ANYTHING: Wanted = { room: '', user: '', label: '', from: '', to: '' };
const TYPING = 300; // ms without a key

export function List({ failed, ok }: Props) {
  const [wanted, want] = useState<Wanted>(ANYTHING);
  const [list, setList] = useState<Recording[] | null>(null);
  const [cursor, setCursor] = useState('');
  const newest = useRef(0); // what was asked last: only its answer counts
  const [more, waitForMore] = useState(false);
  const load = async (from: string) => {
    const asked = ++newest.current;
    const over = () => asked !== newest.current;
    waitForMore(from !== '');
    try {
      const page = await get<{ recordings: Recording[]; nextCursor?: string }>(`/v1/recordings?${query(wanted, from)}`);
      if (over()) return;
      setList((before) => [...(from && before ? before : []), ...page.recordings]);
      setCursor(page.nextCursor ?? '');
      ok();
    } catch (e) {
      if (!over()) failed(e);
    } finally {
      if (!over()) waitForMore(false);
    }
  };
  useEffect(() => {
    const timer = setTimeout(() => load(''), list ? TYPING : 0);
    return () => {
      newest.current++;
      clearTimeout(timer);
    };
  }, [wanted]);
  const field = (name: keyof Wanted, label: string, more: { placeholder?: string; type?: string }) => (
    <div>
      <label for={name}>{label}</label>
      <input id={name} name={name} type="search" value={wanted[name]} {...more} onInput={(e) => want({ ...wanted, [name]: e.currentTarget.value.trim() })} />
    </div>
  );
  return (
    <section class="card" aria-labelledby="recordings-title">
      <h2 id="recordings-title">Recordings</h2>
      <search>
        <form class="search" onSubmit={(e) => e.preventDefault()}>
          {field('room', 'Room', { placeholder: 'all rooms' })}
          {field('user', 'User', { placeholder: 'everybody' })}
          {field('label', 'Label', { placeholder: 'name or name=value' })}
          {field('from', 'From', { type: 'datetime-local' })}
          {field('to', 'To', { type: 'datetime-local' })}
        </form>
      </search>
      <p class="hint" role="status">{list === null ? 'Looking…' : list.length === 0 ? 'None.' : `${list.length}${cursor ? ' newest' : ''} recording${list.length === 1 ? '' : 's'}`}</p>
      <ul id="recordings">
        {list?.map((r) => (
          <li key={r.id}>
            <a href={`#recordings/${encodeURIComponent(r.id)}`}>
              <strong>{r.room.roomID}</strong>
              <span class="note">{when(r.start)}</span>
            </a>
            <span class="count">{clock(r.seconds)}</span>
            <span class="tags">
              {r.state === 'complete' ? null : <span class={`chip ${r.state}`}>{r.state}</span>}
              {r.holds?.length ? <span class="chip">held</span> : null}
              {Object.entries(r.labels ?? {}).map(([k, v]) => <span key={k} class="chip">{k}: {v}</span>)}
            </span>
          </li>
        ))}
      </ul>
      {cursor ? <button type="button" disabled={more} onClick={() => load(cursor)}>Older ones</button> : null}
    </section>
  );
}

function query(w: Wanted, cursor: string): URLSearchParams {
  const q = new URLSearchParams({ limit: '50' });
  for (const [name, value] of Object.entries(w)) {
    if (value) q.set(name, name === 'from' || name === 'to' ? new Date(value).toISOString() : value);
  }
  if (cursor) q.set('cursor', cursor);
  return q;
}
