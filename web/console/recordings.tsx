import { useEffect, useState } from 'preact/hooks';
import { LedgerBar } from './ledger';
import { Player } from './player';
import { ask, fileURL, get, type Manifest, type Recording } from './rest';
import { clock, megabytes, when } from './text';

interface Props {
  /** A recording's id; empty for the list. */
  chosen: string;
  failed: (e: unknown) => void;
  ok: () => void;
}

export function Recordings({ chosen, failed, ok }: Props) {
  return chosen ? <Detail key={chosen} id={chosen} failed={failed} ok={ok} /> : <List failed={failed} ok={ok} />;
}

function List({ failed, ok }: Omit<Props, 'chosen'>) {
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

function Detail({ id, failed, ok }: { id: string } & Omit<Props, 'chosen'>) {
  const [manifest, setManifest] = useState<Manifest | null>(null);
  const [verdict, setVerdict] = useState('');
  const path = `/v1/recordings/${encodeURIComponent(id)}`;
  useEffect(() => {
    get<Manifest>(path).then((m) => {
      setManifest(m);
      ok();
    }, failed);
  }, [id]);
  if (!manifest) return <p class="hint">Looking…</p>;
  const verify = async () => {
    setVerdict('Checking…');
    try {
      const { intact, problems } = await (await ask('POST', `${path}/verify`)).json();
      setVerdict(intact ? 'Intact: every segment is there and is what was sealed.' : `Broken: ${problems.map((p: { text?: string }) => p.text ?? JSON.stringify(p)).join('; ')}`);
    } catch (e) {
      setVerdict('');
      failed(e);
    }
  };
  return (
    <section class="card" aria-labelledby="recording-title">
      <p class="hint"><a href="#recordings">All recordings</a></p>
      <h2 id="recording-title">{manifest.room.roomID}</h2>
      <p class="hint">{when(manifest.start)} · {manifest.id} · {manifest.state}{manifest.sealed ? ', sealed' : ''}</p>
      <Player manifest={manifest} failed={failed} />
      <div class="buttons">
        <button id="verify" type="button" onClick={verify}>Verify</button>
        <span id="verdict" role="status">{verdict}</span>
      </div>
      <h3>Streams</h3>
      <ul class="streams ledgers" aria-label="Streams">
        {Object.entries(manifest.ledger).map(([name, ledger]) => (
          <li key={name}><div class="person"><strong>{name}</strong></div><LedgerBar ledger={ledger} name={name} /></li>
        ))}
      </ul>
      <details>
        <summary>Files</summary>
        <ul id="files">
          {manifest.segments.map((s) => (
            <li key={s.path}><a href={fileURL(id, s.path)} download={s.path.replaceAll('/', '-')}>{s.path}</a> <span class="note">{megabytes(s.bytes)}</span></li>
          ))}
        </ul>
      </details>
    </section>
  );
}
