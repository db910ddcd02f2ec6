import { useEffect, useState } from 'preact/hooks';
import { Meter } from '../call/microphone';
import { LedgerBar } from './ledger';
import { ask, get, type Capture, type Room, type Spool } from './rest';
import { clock, megabytes } from './text';

const INTERVAL = 1000; // ms between looks
const ENDED = new Set(['complete', 'failed']);

interface Props {
  failed: (e: unknown) => void;
  ok: () => void;
}

interface Seen {
  rooms: Room[];
  captures: Capture[];
  spool: Spool | null;
}

/** What goes on now. Looked at once a second, all of it at once; a hidden page does not look. */
export function Live({ failed, ok }: Props) {
  const [seen, setSeen] = useState<Seen | null>(null);
  const [listening, listen] = useState('');
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let over = false;
    const look = async () => {
      try {
        if (!document.hidden) {
          const [rooms, captures, spool] = await Promise.all([
            get<{ rooms: Room[] }>('/v1/rooms?limit=1000'), get<{ captures: Capture[] }>('/v1/captures?limit=200'),
            get<Spool>('/v1/spool').catch(() => null),
          ]);
          if (!over) setSeen({ rooms: rooms.rooms, captures: captures.captures.filter((c) => !ENDED.has(c.state)), spool });
        }
      } catch (e) {
        if (!over) failed(e);
      }
      if (!over) timer = setTimeout(look, INTERVAL);
    };
    look();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, []);
  if (!seen) return <p class="hint">Looking…</p>;

  const act = async (work: () => Promise<unknown>) => {
    try {
      await work();
      ok();
    } catch (e) {
      failed(e);
    }
  };
  const captured = new Set(seen.captures.map((c) => c.room.roomID));
  const idle = seen.rooms.filter((r) => !captured.has(r.roomID));
  return (
    <>
      {seen.spool ? <Health spool={seen.spool} /> : null}
      <section aria-labelledby="captures-title">
        <h2 id="captures-title">Captures</h2>
        {seen.captures.length === 0 ? <p class="hint">Nothing is captured now.</p> : null}
        {seen.captures.map((c) => (
          <CaptureCard key={c.id} capture={c} listening={listening === c.id} listen={(on) => listen(on ? c.id : '')}
            stop={() => act(() => ask('POST', `/v1/captures/${encodeURIComponent(c.id)}/stop`))} />
        ))}
      </section>
      <section aria-labelledby="rooms-title">
        <h2 id="rooms-title">Rooms that are not captured</h2>
        {idle.length === 0 ? <p class="hint">None.</p> : null}
        {idle.map((r) => <RoomCard key={r.roomID} room={r} record={() => act(() => record(r.roomID))} />)}
      </section>
      {listening ? <audio id="listening" class="visually-hidden" src={`/v1/captures/${encodeURIComponent(listening)}/live`} autoplay /> : null}
    </>
  );
}

/** Mix and streams, to where the daemon keeps recordings by itself. */
function record(roomID: string): Promise<unknown> {
  const id = `${roomID.replace(/[^0-9A-Za-z_-]/g, '_').slice(0, 40)}-${new Date().toISOString().replace(/[-:]|\.\d+/g, '')}`;
  return ask('PUT', `/v1/captures/${id}`, { room: { roomID }, record: [{ what: 'mix' }, { what: 'streams' }] });
}

function Health({ spool }: { spool: Spool }) {
  const troubled = Object.entries(spool.storages).filter(([, s]) => s.downSince || s.pendingFiles > 0);
  return (
    <>
      {troubled.map(([name, s]) => (
        <p key={name} class={`notice ${s.downSince ? 'error' : 'warning'}`} role="status">
          Storage {name}: {s.pendingFiles} files ({megabytes(s.pendingBytes)}) wait{s.downSince ? `; it takes nothing: ${s.lastError ?? ''}` : '.'}
        </p>
      ))}
    </>
  );
}

function CaptureCard({ capture: c, listening, listen, stop }: {
  capture: Capture; listening: boolean; listen: (on: boolean) => void; stop: () => void;
}) {
  const [stopping, setStopping] = useState(false);
  return (
    <article class="card" data-capture={c.id} aria-label={`Capture ${c.id}`}>
      <div class="title">
        <h3>{c.room.roomID} <span class={`chip ${c.state}`}>{c.state}</span></h3>
        <span class="count">{clock(c.seconds)}</span>
      </div>
      <p class="hint">{c.id} · {c.outputs.map((o) => `${o.what} ${o.format}`).filter((t, i, all) => all.indexOf(t) === i).join(', ')}</p>
      {c.trouble ? <p class="notice warning">{c.trouble}</p> : null}
      <ul class="streams" aria-label={`Streams of ${c.room.roomID}`}>
        {c.streams.filter((s) => s.present).map((s) => {
          const { lost = 0, jitterMs = 0, driftPpm = 0 } = s.quality;
          const name = s.user.userName || s.user.userID;
          return (
            <li key={s.streamID}>
              <div class="person"><strong>{name}</strong><span class="note">{s.streamID}</span></div>
              <div>
                <Meter level={level(s.levelDb)} label={`Level of ${name}`} />
                <LedgerBar ledger={s.ledger} name={name} />
              </div>
              <span class="note figures">{lost} lost · {jitterMs.toFixed(0)} ms jitter · {driftPpm.toFixed(0)} ppm</span>
            </li>
          );
        })}
      </ul>
      <div class="buttons">
        <button type="button" aria-pressed={listening} onClick={() => listen(!listening)}>{listening ? 'Stop listening' : 'Listen'}</button>
        <button type="button" class="danger" disabled={stopping} onClick={() => {
          setStopping(true);
          stop();
        }}>{stopping ? 'Stopping…' : 'Stop'}</button>
      </div>
    </article>
  );
}

function RoomCard({ room, record }: { room: Room; record: () => void }) {
  return (
    <article class="card" data-room={room.roomID} aria-label={`Room ${room.roomID}`}>
      <div class="title">
        <h3>{room.roomID}</h3>
        <span class="count">{room.onlineUsers} here</span>
      </div>
      <ul class="streams" aria-label={`Streams of ${room.roomID}`}>
        {room.streams.map((s) => (
          <li key={s.streamID}>
            <div class="person"><strong>{s.userName || s.userID}</strong><span class="note">{s.streamID}</span></div>
            <Meter level={level(s.level)} label={`Level of ${s.userName || s.userID}`} />
          </li>
        ))}
      </ul>
      <div class="buttons"><button type="button" class="record" onClick={record}>Record</button></div>
    </article>
  );
}

/** dBov as 0 to 100: -60 and less is 0. */
function level(dB: number): number {
  return Math.round(Math.min(100, Math.max(0, 100 + (dB * 100) / 60)));
}
