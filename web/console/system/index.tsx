// The place of the machine: room for more, space, and what waits for storages.

import type { Spool } from '../live/types';
import { usePoll } from '../poll';
import { get } from '../rest';
import { clock, duration, megabytes, when } from '../text';
import type { PlaceProps } from '../places';
import '../lists.css';

interface Capacity {
  processors: number;
  load: number;
  limit: number;
  captures: number;
  maxCaptures?: number;
  streams: number;
  maxStreams?: number;
  streamCostUs: number;
  measured: boolean;
  freeStreams: number;
  accepting: boolean;
  reason?: string;
}

const EVERY = 5000; // ms

export default function System({ failed }: PlaceProps) {
  const [seen] = usePoll(async () => {
    const [capacity, spool] = await Promise.all([get<Capacity>('/v1/capacity'), get<Spool>('/v1/spool')]);
    return { capacity, spool };
  }, EVERY, failed);
  if (!seen) return <p class="hint">Looking…</p>;
  const { capacity: c, spool: { space, storages, quarantine, conflicts } } = seen;
  return (
    <>
      <section class="card" aria-labelledby="capacity-title">
        <div class="title">
          <h2 id="capacity-title">Room for more</h2>
          <span class={`chip ${c.accepting ? 'well' : 'bad'}`}>{c.accepting ? 'accepting' : 'full'}</span>
        </div>
        {c.reason ? <p class="notice error">{c.reason}</p> : null}
        <Bar value={c.load} limit={c.limit} label={`Load ${Math.round(c.load * 100)} %${c.limit > 0 ? ` of at most ${Math.round(c.limit * 100)} %` : ''}`} />
        <dl class="facts">
          <Fact name="Captures" value={`${c.captures}${c.maxCaptures ? ` of ${c.maxCaptures}` : ''}`} />
          <Fact name="Streams" value={`${c.streams}${c.maxStreams ? ` of ${c.maxStreams}` : ''}`} />
          <Fact name="Streams besides" value={String(c.freeStreams)} />
          <Fact name="Processors" value={String(c.processors)} />
          <Fact name={c.measured ? 'A stream costs' : 'A stream is taken to cost'} value={`${(c.streamCostUs / 1000).toFixed(1)} ms/s`} />
        </dl>
      </section>
      <section class="card" aria-labelledby="space-title">
        <div class="title">
          <h2 id="space-title">Space for recordings</h2>
          <span class={`chip ${space.level === 'ample' ? 'well' : space.level === 'low' ? 'paused' : 'bad'}`}>{space.level.replace('_', ' ')}</span>
        </div>
        <Bar value={1 - space.freePercent / 100} limit={0} label={`${space.freePercent} % free: ${megabytes(space.freeBytes)} of ${megabytes(space.totalBytes)}`} />
        <p class="hint">{space.hoursLeft === null ? 'It does not fill.' : `Full in ${clock(space.hoursLeft * 3600)} h at the speed of the last quarter of an hour.`}</p>
      </section>
      <section aria-labelledby="storages-title">
        <h2 id="storages-title">Storages</h2>
        <ul class="list" id="storages" aria-label="Storages">
          {Object.entries(storages).map(([name, s]) => (
            <li key={name} data-storage={name}>
              <div class="person"><strong>{name}</strong><span class={`chip ${s.downSince ? 'bad' : 'well'}`}>{s.downSince ? `down since ${when(s.downSince)}` : 'takes files'}</span></div>
              <div class="what">
                {s.pendingFiles} files ({megabytes(s.pendingBytes)}) wait{s.pendingFiles > 0 ? `, the oldest for ${duration(s.oldestSeconds * 1000)}` : ''}
                <span class="note">Since the start: {s.uploadedFiles} uploaded, {s.failures} failures, {s.conflicts} conflicts{s.backedUpFiles > 0 ? `, ${s.backedUpFiles} backed up` : ''}</span>
                {s.lastError ? <span class="note bad">{s.lastError}</span> : null}
              </div>
            </li>
          ))}
        </ul>
        {Object.keys(storages).length === 0 ? <p class="hint">None.</p> : null}
      </section>
      <section class="card" aria-labelledby="aside-title">
        <h2 id="aside-title">Moved aside</h2>
        {quarantine.length + conflicts.length === 0 ? <p class="hint">Nothing: every file is known and where it belongs.</p> : <p>These need somebody; <a href="/docs" target="_blank">the API</a> and the operations manual say what to do.</p>}
        <ul class="paths">
          {conflicts.map((f) => <li key={`${f.storage} ${f.key}`}><span class="chip bad">conflict</span> {f.storage}: {f.key}</li>)}
          {quarantine.map((f) => <li key={f}><span class="chip paused">unknown</span> {f}</li>)}
        </ul>
      </section>
      <p class="hint"><a href="/docs">The API</a></p>
    </>
  );
}

function Bar({ value, limit, label }: { value: number; limit: number; label: string }) {
  const percent = Math.round(Math.min(1, Math.max(0, value)) * 100);
  return (
    <>
      <p class="bar-label">{label}</p>
      <div class={`bar ${limit > 0 && value >= limit ? 'full' : ''}`} role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={percent}>
        <span style={{ width: `${percent}%` }} />
        {limit > 0 ? <i style={{ left: `${limit * 100}%` }} /> : null}
      </div>
    </>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return <div><dt>{name}</dt><dd>{value}</dd></div>;
}
