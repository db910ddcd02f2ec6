import { Component } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { useRights } from '../rights';
import { Sure } from '../sure';
import { clock, when } from '../text';
import type { Meters } from './meters';
import { PauseForm } from './pause';
import { useSeen } from './seen';
import { StreamRow } from './stream';
import type { Capture, Pause } from './types';

const SEARCH_FROM = 12; // streams from which on there is a search
const NAMED = 4; // speakers that are named

export type Call = (method: string, path: string, body?: unknown) => void;

interface Props {
  capture: Capture;
  meters: Meters;
  /** The address that is listened to. */
  listening: string;
  listen: (address: string) => void;
  /** A call on the capture; path follows its own. */
  call: Call;
  /** Takes a stream out of the room. */
  remove: (streamID: string) => void;
}

export function CaptureCard({ capture: c, meters, listening, listen, call, remove }: Props) {
  const may = useRights();
  const [stopping, setStopping] = useState(false);
  const [filter, setFilter] = useState('');
  const [hearing, setHearing] = useState(c.listening);
  const time = useRef<HTMLSpanElement>(null);
  const speaking = useRef<HTMLParagraphElement>(null);
  const names = useMemo(() => new Map(c.streams.map((s) => [s.streamID, s.user.userName || s.user.userID])), [c.streams]);
  const known = useRef(names);
  known.current = names;
  const ref = useSeen<HTMLElement>(() => meters.card(c.id, {
    now: (seconds) => put(time.current, clock(seconds)),
    speakers: (ids) => put(speaking.current, speakers(ids.map((id) => known.current.get(id) ?? id))),
    listening: (l) => setHearing((before) => (JSON.stringify(before) === JSON.stringify(l) ? before : l)),
  }), [c.id]);
  const live = `/v1/captures/${encodeURIComponent(c.id)}/live`;
  const present = c.streams.filter((s) => s.present);
  const shown = filter === '' ? present : present.filter((s) => `${s.streamID} ${s.user.userID} ${s.user.userName}`.toLowerCase().includes(filter.toLowerCase()));
  const paused = c.pauses.some((p) => !p.userID && !p.streamID && !p.output);
  return (
    <article class="card" data-capture={c.id} aria-label={`Capture ${c.id}`} ref={ref}>
      <div class="title">
        <h3>{c.room.roomID} <span class={`chip ${c.state}`}>{c.state}</span></h3>
        <span class="count" ref={time}>{clock(c.seconds)}</span>
      </div>
      <p class="hint">{c.id} · {outputs(c)} · {present.length} {present.length === 1 ? 'stream' : 'streams'}{c.live.running && c.live.latencyP50Ms > 0 ? ` · live mix after ${c.live.latencyP50Ms} ms` : ''}</p>
      {c.trouble ? <p class="notice warning">{c.trouble}</p> : null}
      {c.reason && c.state !== 'recording' ? <p class="hint">{c.reason}</p> : null}
      {hearing?.verdict === 'media' || hearing?.verdict === 'decoder' ? (
        <p class="notice error" role="status">It does not hear {(hearing.streams ?? []).map((id) => names.get(id) ?? id).join(', ')}, who speaks. It tries to mend that by itself.</p>
      ) : null}
      <Pauses pauses={c.pauses} names={names} />
      <p class="speaking" ref={speaking} />
      {present.length >= SEARCH_FROM ? (
        <input type="search" class="search" placeholder="Find a user or stream" aria-label={`Find a user or stream of ${c.room.roomID}`} value={filter}
          onInput={(e) => setFilter(e.currentTarget.value)} />
      ) : null}
      <Streams capture={c} shown={shown} meters={meters} call={call} remove={remove} listen={listen}
        heard={listening.startsWith(`${live}?stream=`) ? decodeURIComponent(listening.slice(live.length + 8)) : ''} />
      <div class="buttons">
        {may('captures.listen') ? <Listen on={listening === live} name="the mix" listen={(on) => listen(on ? live : '')} /> : null}
        {may('captures.run') ? (
          <>
            <button type="button" class="pause" onClick={() => call('POST', paused ? '/resume' : '/pause', {})}>{paused ? 'Resume' : 'Pause'}</button>
            <Sure class="stop" text={stopping ? 'Stopping…' : 'Stop'} really="Really stop?" disabled={stopping} act={() => {
              setStopping(true);
              call('POST', '/stop');
            }} />
          </>
        ) : null}
      </div>
      {may('captures.run') ? <PauseForm capture={c} call={call} /> : null}
    </article>
  );
}

interface List extends Pick<Props, 'capture' | 'meters' | 'call' | 'remove' | 'listen'> {
  shown: Capture['streams'];
  /** The stream that is listened to. */
  heard: string;
}

/** The rows are made anew only when something in them changed: what moves all the time moves by itself. */
class Streams extends Component<List> {
  override shouldComponentUpdate(next: List): boolean {
    const now = this.props;
    return now.heard !== next.heard || now.capture.mix !== next.capture.mix || now.capture.pauses !== next.capture.pauses
      || now.shown.length !== next.shown.length || now.shown.some((s, i) => s !== next.shown[i]);
  }

  override render({ capture, shown, meters, call, remove, listen, heard }: List) {
    const many = shown.length >= SEARCH_FROM;
    return (
      <ul class={`streams ${many ? 'many' : ''}`} tabIndex={many ? 0 : undefined} aria-label={`Streams of ${capture.room.roomID}`}>
        {shown.map((s) => (
          <StreamRow key={s.streamID} capture={capture} stream={s} meters={meters} call={call} remove={remove} heard={heard === s.streamID} listen={listen} />
        ))}
      </ul>
    );
  }
}

function Pauses({ pauses, names }: { pauses: Pause[]; names: Map<string, string> }) {
  if (pauses.length === 0) return null;
  const scope = (p: Pause) => (p.streamID ? names.get(p.streamID) ?? p.streamID : p.userID ?? (p.output ? `output ${p.output}` : 'Everything'));
  return (
    <ul class="pauses" aria-label="Pauses">
      {pauses.map((p) => (
        <li key={`${p.userID} ${p.streamID} ${p.output}`}>
          {scope(p)} is paused ({p.mode}) since {when(p.since)} by {p.actor}{p.until ? ` until ${when(p.until)}` : ''}{p.reason ? `: ${p.reason}` : ''}
        </li>
      ))}
    </ul>
  );
}

export function Listen({ on, name, listen }: { on: boolean; name: string; listen: (on: boolean) => void }) {
  return (
    <button type="button" class="listen" aria-pressed={on} aria-label={`${on ? 'Stop listening' : 'Listen'} to ${name}`} onClick={() => listen(!on)}>
      {on ? 'Listening' : 'Listen'}
    </button>
  );
}

function outputs(c: Capture): string {
  const texts = c.outputs.map((o) => `${o.what} ${o.format}`);
  return [...new Set(texts)].map((t) => {
    const n = texts.filter((x) => x === t).length;
    return n > 1 ? `${t} × ${n}` : t;
  }).join(', ') || 'live only';
}

function speakers(names: string[]): string {
  if (names.length === 0) return '';
  const more = names.length - NAMED;
  return `Speaking: ${names.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** What moves all the time is written past the components. */
function put(element: HTMLElement | null, text: string): void {
  if (element && element.textContent !== text) element.textContent = text;
}
