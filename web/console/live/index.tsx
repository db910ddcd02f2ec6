import { useContext, useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { Who, useRights } from '../rights';
import { ask } from '../rest';
import { clock, megabytes } from '../text';
import { CaptureCard } from './capture';
import { Listening } from './listening';
import { Meters } from './meters';
import { RoomCard } from './room';
import { Store } from './store';
import type { Capture, Spool } from './types';
import './live.css';

interface Props {
  failed: (e: unknown) => void;
  ok: () => void;
}

/** What goes on now, as the API tells it. */
export function Live({ failed, ok }: Props) {
  const me = useContext(Who);
  const may = useRights();
  const [, changed] = useReducer((n: number) => n + 1, 0);
  const [listening, listen] = useState(''); // an address; '' is silence
  const store = useRef<Store>(null);
  const meters = useRef<Meters>(null);
  store.current ??= new Store(me, () => changed(0), failed);
  meters.current ??= new Meters(failed);
  useEffect(() => {
    store.current!.start();
    return () => {
      store.current!.end();
      meters.current!.end();
    };
  }, []);
  const { captures, rooms, spool, connected } = store.current;
  if (!captures) return <p class="hint">Looking…</p>;

  const act = async (work: () => Promise<Response>) => {
    try {
      const { mark } = store.current!;
      const answer = await work();
      if (answer.status !== 204) store.current!.answered((await answer.json()) as Capture, mark);
      ok();
    } catch (e) {
      failed(e);
    }
  };
  const captured = new Set(captures.map((c) => c.room.roomID));
  const idle = rooms.filter((r) => !captured.has(r.roomID));
  return (
    <>
      <p class="notice warning" role="status" hidden={connected}>The daemon does not answer. What is shown is what was last known.</p>
      {spool ? <Health spool={spool} /> : null}
      {may('captures.see') ? (
        <section aria-labelledby="captures-title">
          <h2 id="captures-title">Captures</h2>
          {captures.length === 0 ? <p class="hint">Nothing is captured now.</p> : null}
          {captures.map((c) => (
            <CaptureCard key={c.id} capture={c} meters={meters.current!} listening={listening} listen={listen}
              call={(method, path, body) => act(() => ask(method, `/v1/captures/${encodeURIComponent(c.id)}${path}`, body))}
              remove={(streamID) => act(() => ask('DELETE', `/v1/rooms/${encodeURIComponent(c.room.roomID)}/streams/${encodeURIComponent(streamID)}`))} />
          ))}
        </section>
      ) : null}
      {may('rooms.see') ? (
        <section aria-labelledby="rooms-title">
          <h2 id="rooms-title">Rooms that nobody records</h2>
          {idle.length === 0 ? <p class="hint">None.</p> : null}
          {idle.map((r) => <RoomCard key={r.roomID} room={r} record={() => act(() => record(r.roomID))} />)}
        </section>
      ) : null}
      {listening ? <Listening key={listening} address={listening} failed={failed} over={() => listen('')} /> : null}
    </>
  );
}

/** Mix and streams, to where the daemon keeps recordings by itself. */
function record(roomID: string): Promise<Response> {
  const id = `${roomID.replace(/[^0-9A-Za-z_-]/g, '_').slice(0, 40)}-${new Date().toISOString().replace(/[-:]|\.\d+/g, '')}`;
  return ask('PUT', `/v1/captures/${id}`, { room: { roomID }, record: [{ what: 'mix' }, { what: 'streams' }] });
}

/** What keeps recordings from their storages, if something does. */
function Health({ spool: { space, storages, quarantine, conflicts } }: { spool: Spool }) {
  const aside = quarantine.length + conflicts.length;
  return (
    <>
      {space.level !== 'ample' ? (
        <p class={`notice ${space.level === 'low' ? 'warning' : 'error'}`} role="status">
          Space for recordings is {space.level.replace('_', ' ')}: {space.freePercent} % is free{space.hoursLeft === null ? '' : `, full in ${clock(space.hoursLeft * 3600)} h`}.
        </p>
      ) : null}
      {Object.entries(storages).filter(([, s]) => s.downSince).map(([name, s]) => (
        <p key={name} class="notice error" role="status">
          Storage {name} takes nothing: {s.lastError ?? 'no answer'}. {s.pendingFiles} files ({megabytes(s.pendingBytes)}) wait.
        </p>
      ))}
      {aside > 0 ? <p class="notice warning" role="status">{aside} files were moved aside and need somebody: <a href="#system">System</a>.</p> : null}
    </>
  );
}
