// The place of events: the daemon's log as it grows.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { follow } from '../follow';
import { perFrame } from '../frames';
import { get } from '../rest';
import type { PlaceProps } from '../places';
import '../lists.css';

interface Event {
  seq: number;
  type: string;
  timestamp: string;
  capture?: string;
  room?: string;
  data: any;
}

interface Page {
  events: Event[];
  oldest: number;
  last: number;
}

const KINDS: [pattern: string, text: string][] = [
  ['', 'Everything'], ['capture.*', 'Captures'], ['user.*', 'Users'], ['stream.*', 'Streams'], ['segment.*', 'Segments'], ['recording.*', 'Recordings'],
  ['storage.*', 'Storages'], ['spool.*', 'Space'], ['upload.*', 'Uploads'], ['hold.*', 'Holds'], ['audit.*', 'Audit'], ['events.*', 'The log itself'],
];

const SHOWN = 300; // events at most
const BEFORE = 60; // numbers that are looked back at first
const STEP = 1000; // numbers that are looked back at with a filter

export default function Events({ failed, ok }: PlaceProps) {
  const [filter, setFilter] = useState({ type: '', room: '', capture: '' });
  const [events, setEvents] = useState<Event[] | null>(null);
  const [connected, setConnected] = useState(true);
  const [held, hold] = useState(false); // nothing is added while somebody reads
  const waiting = useRef<Event[]>([]);
  const holding = useRef(false);
  holding.current = held;
  const [count, setCount] = useState(0);
  const query = useMemo(() => {
    const said = Object.entries(filter).filter(([, v]) => v !== '');
    return new URLSearchParams([['brief', 'true'], ...said]).toString();
  }, [filter]);
  const show = useMemo(() => perFrame(() => {
    setCount(waiting.current.length);
    if (holding.current) return;
    const fresh = waiting.current.splice(0).reverse();
    if (fresh.length > 0) setEvents((known) => [...fresh, ...(known ?? [])].slice(0, SHOWN));
    setCount(0);
  }), []);
  useEffect(() => {
    let over = false;
    let end = () => {};
    waiting.current = [];
    setEvents(null);
    past(query).then(({ events: known, last }) => {
      if (over) return;
      setEvents(known.reverse().slice(0, SHOWN));
      ok();
      end = follow(`/v1/events?${query}&after=${last}`, {
        told: ({ type, data }) => {
          if (type === 'events.gone') return;
          waiting.current.push(data);
          if (waiting.current.length > SHOWN) waiting.current.shift();
          show();
        },
        connected: setConnected,
        refused: failed,
      });
    }).catch(failed);
    return () => {
      over = true;
      end();
    };
  }, [query]);
  const change = (name: keyof typeof filter) => (e: { currentTarget: { value: string } }) => setFilter({ ...filter, [name]: e.currentTarget.value.trim() });
  return (
    <section aria-labelledby="events-title">
      <div class="title">
        <h2 id="events-title">Events</h2>
        <span class="count" role="status">{connected ? 'as they happen' : 'the daemon does not answer'}</span>
      </div>
      <form class="card line" aria-label="Filter" onSubmit={(e) => e.preventDefault()}>
        <label>Kind
          <select id="kind" onChange={change('type')}>{KINDS.map(([p, text]) => <option key={p} value={p}>{text}</option>)}</select>
        </label>
        <label>Room <input id="event-room" placeholder="any" onChange={change('room')} /></label>
        <label>Capture <input id="event-capture" placeholder="any" onChange={change('capture')} /></label>
        <button id="hold" type="button" aria-pressed={held} onClick={() => {
          hold(!held);
          holding.current = !held;
          show();
        }}>{held ? `Go on${count > 0 ? ` (${count} new)` : ''}` : 'Hold'}</button>
      </form>
      {events === null ? <p class="hint">Looking…</p> : events.length === 0 ? <p class="hint">Nothing has happened.</p> : null}
      <ol id="events" class="list" aria-label="Events, newest first">
        {(events ?? []).map((e) => <Line key={e.seq} event={e} failed={failed} />)}
      </ol>
    </section>
  );
}

/** What the log has, back from its end: numbers, not times, for a filter may leave out most of them. */
async function past(query: string): Promise<Page> {
  const { oldest, last } = await get<Page>('/v1/events?brief=true&limit=1');
  const back = query === 'brief=true' ? BEFORE : STEP;
  const after = Math.max(oldest - 1, last - back, 0);
  const page = await get<Page>(`/v1/events?${query}&limit=${STEP}&after=${after}`);
  return { ...page, events: page.events.filter((e) => e.seq <= last), last };
}

function Line({ event: e, failed }: { event: Event; failed: (e: unknown) => void }) {
  const [whole, setWhole] = useState<string | null>(null);
  const open = (event: { currentTarget: HTMLDetailsElement }) => {
    if (!event.currentTarget.open || whole !== null) return;
    get<Page>(`/v1/events?limit=1&after=${e.seq - 1}`).then((page) => setWhole(JSON.stringify(page.events[0], null, 2)), failed);
  };
  const time = new Date(e.timestamp);
  return (
    <li data-type={e.type}>
      <details onToggle={open}>
        <summary>
          <time dateTime={e.timestamp} title={e.timestamp}>{time.toLocaleTimeString()}</time>
          <span class={`chip ${look(e.type)}`}>{e.type}</span>
          <span class="about">{[e.room, e.capture].filter(Boolean).join(' · ')}</span>
          <span class="note">{summary(e)}</span>
        </summary>
        <pre tabIndex={0} aria-label={`Event ${e.seq}`}>{whole ?? 'Looking…'}</pre>
      </details>
    </li>
  );
}

function look(type: string): string {
  if (/\.(failed|degraded|trouble|down|conflict|broken|dropped|low)$/.test(type)) return 'bad';
  if (/\.(recording|complete|healed|well|up|recovered|sealed)$/.test(type)) return 'well';
  return /\.(paused|reconnecting|interrupted|forecast|backup)$/.test(type) ? 'paused' : '';
}

/** The first of what there is to say. */
function summary(e: Event): string {
  const d = e.data?.details ?? e.data ?? {};
  const who = d.user?.userName || d.user?.userID || d.stream?.streamID || d.userID || d.streamID;
  const said = [who, d.cause, d.trouble, d.path, d.storage, d.reason, d.error].filter((x) => typeof x === 'string' && x !== '');
  return said.join(' · ');
}
