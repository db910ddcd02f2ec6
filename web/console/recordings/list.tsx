import { useEffect, useState } from 'preact/hooks';
import { get } from '../rest';
import { clock, when } from '../text';
import type { Props } from './index';
import type { Recording } from './manifest';

export function List({ failed, ok }: Omit<Props, 'chosen'>) {
  const [room, setRoom] = useState('');
  const [list, setList] = useState<Recording[] | null>(null);
  const [cursor, setCursor] = useState('');
  const load = async (from: string) => {
    try {
      const query = new URLSearchParams({ limit: '50', ...(room ? { room } : {}), ...(from ? { cursor: from } : {}) });
      const page = await get<{ recordings: Recording[]; nextCursor?: string }>(`/v1/recordings?${query}`);
      setList((before) => [...(from && before ? before : []), ...page.recordings]);
      setCursor(page.nextCursor ?? '');
      ok();
    } catch (e) {
      failed(e);
    }
  };
  useEffect(() => {
    load('');
  }, [room]);
  return (
    <section class="card" aria-labelledby="recordings-title">
      <h2 id="recordings-title">Recordings</h2>
      <label for="room">Room</label>
      <input id="room" type="search" placeholder="all rooms" value={room} onChange={(e) => setRoom(e.currentTarget.value.trim())} />
      {list?.length === 0 ? <p class="hint">None.</p> : null}
      <ul id="recordings">
        {list?.map((r) => (
          <li key={r.id}>
            <a href={`#recordings/${encodeURIComponent(r.id)}`}>{r.room.roomID}</a>
            <span class="note">{when(r.start)} · {clock(r.seconds)} · {r.state}{Object.entries(r.labels ?? {}).map(([k, v]) => ` · ${k}: ${v}`)}</span>
          </li>
        ))}
      </ul>
      {cursor ? <button type="button" onClick={() => load(cursor)}>Older ones</button> : null}
    </section>
  );
}
