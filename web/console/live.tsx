import { useEffect, useState } from 'preact/hooks';
import { Meter } from '../call/microphone';
import { LedgerBar } from './ledger';
import { ask, get, type Capture, type Room, type Spool, type Stream } from './rest';
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
  const [listening, listen] = useState(''); // an address; '' is silence
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
          <CaptureCard key={c.id} capture={c} listening={listening} listen={listen}
            call={(method, path, body) => act(() => ask(method, `/v1/captures/${encodeURIComponent(c.id)}${path}`, body))} />
        ))}
      </section>
      <section aria-labelledby="rooms-title">
        <h2 id="rooms-title">Rooms that are not captured</h2>
        {idle.length === 0 ? <p class="hint">None.</p> : null}
        {idle.map((r) => <RoomCard key={r.roomID} room={r} record={() => act(() => record(r.roomID))} />)}
      </section>
      {listening ? <audio id="listening" key={listening} class="visually-hidden" src={listening} autoplay /> : null}
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

interface CardProps {
  capture: Capture;
  /** The address that is listened to. */
  listening: string;
  listen: (address: string) => void;
  /** A call on the capture; path follows its own. */
  call: (method: string, path: string, body?: unknown) => void;
}

function CaptureCard({ capture: c, listening, listen, call }: CardProps) {
  const [stopping, setStopping] = useState(false);
  const paused = c.state === 'paused';
  const live = `/v1/captures/${encodeURIComponent(c.id)}/live`;
  return (
    <article class="card" data-capture={c.id} aria-label={`Capture ${c.id}`}>
      <div class="title">
        <h3>{c.room.roomID} <span class={`chip ${c.state}`}>{c.state}</span></h3>
        <span class="count">{clock(c.seconds)}</span>
      </div>
      <p class="hint">{c.id} · {c.outputs.map((o) => `${o.what} ${o.format}`).filter((t, i, all) => all.indexOf(t) === i).join(', ')}</p>
      {c.trouble ? <p class="notice warning">{c.trouble}</p> : null}
      <ul class="streams" aria-label={`Streams of ${c.room.roomID}`}>
        {c.streams.filter((s) => s.present).map((s) => (
          <StreamRow key={s.streamID} capture={c} stream={s} call={call} listening={listening === `${live}?stream=${encodeURIComponent(s.streamID)}`}
            listen={(on) => listen(on ? `${live}?stream=${encodeURIComponent(s.streamID)}` : '')} />
        ))}
      </ul>
      <div class="buttons">
        <Listen on={listening === live} name="the mix" listen={(on) => listen(on ? live : '')} />
        <button type="button" class="pause" onClick={() => call('POST', paused ? '/resume' : '/pause', {})}>{paused ? 'Resume' : 'Pause'}</button>
        <button type="button" class="danger" disabled={stopping} onClick={() => {
          setStopping(true);
          call('POST', '/stop');
        }}>{stopping ? 'Stopping…' : 'Stop'}</button>
      </div>
    </article>
  );
}

/** One stream of a capture; mute and gain are of the mixes, its own file goes on as it is. */
function StreamRow({ capture, stream: s, call, listening, listen }: Omit<CardProps, 'listening' | 'listen'> & {
  stream: Stream; listening: boolean; listen: (on: boolean) => void;
}) {
  const { lost = 0, jitterMs = 0, driftPpm = 0 } = s.quality;
  const name = s.user.userName || s.user.userID;
  const muted = capture.mix.mute ?? [];
  const isMuted = muted.includes(s.streamID);
  const gain = capture.mix.gains?.[s.streamID] ?? 0;
  const toggle = () => call('PATCH', '', { mix: { mute: isMuted ? muted.filter((id) => id !== s.streamID) : [...muted, s.streamID] } });
  return (
    <li>
      <div class="person"><strong>{name}</strong><span class="note">{s.streamID}</span></div>
      <div>
        <Meter level={level(s.levelDb)} label={`Level of ${name}`} />
        <LedgerBar ledger={s.ledger} name={name} />
      </div>
      <span class="note figures">{lost} lost · {jitterMs.toFixed(0)} ms jitter · {driftPpm.toFixed(0)} ppm</span>
      <div class="tools">
        <Listen on={listening} name={name} listen={listen} />
        <button type="button" class="mute" aria-pressed={isMuted} aria-label={`${isMuted ? 'Muted:' : 'Mute'} ${name} in the mix`} onClick={toggle}>{isMuted ? 'Muted' : 'Mute'}</button>
        <input type="range" min={-20} max={12} step={1} value={gain} aria-label={`Gain of ${name} in the mix`} aria-valuetext={`${gain} dB`}
          onChange={(e) => call('PATCH', '', { mix: { gains: { [s.streamID]: e.currentTarget.valueAsNumber } } })} />
        <span class="note">{gain > 0 ? '+' : ''}{gain} dB</span>
      </div>
    </li>
  );
}

function Listen({ on, name, listen }: { on: boolean; name: string; listen: (on: boolean) => void }) {
  return (
    <button type="button" class="listen" aria-pressed={on} aria-label={`${on ? 'Stop listening' : 'Listen'} to ${name}`} onClick={() => listen(!on)}>
      {on ? 'Stop listening' : 'Listen'}
    </button>
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
