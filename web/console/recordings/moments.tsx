import { useState } from 'preact/hooks';
import { clock, duration } from '../text';
import type { Hole, Overview } from './overview';

const FIRST = 8; // shown at once

interface Moment {
  at: number;
  text: string;
}

/** What went wrong or was left out, in the order of time; each plays from a moment before. */
export function Moments({ overview, play }: { overview: Overview; play: (seconds: number) => void }) {
  const [all, showAll] = useState(false);
  const moments = found(overview);
  if (moments.length === 0) return null;
  return (
    <section class="moments" aria-labelledby="moments-title">
      <h3 id="moments-title">Losses, pauses and gaps</h3>
      <ol>
        {(all ? moments.slice(0, 500) : moments.slice(0, FIRST)).map((m) => (
          <li key={`${m.at} ${m.text}`}>
            <button type="button" class="link" onClick={() => play(Math.max(0, m.at - 1))} aria-label={`Play from ${clock(m.at)}: ${m.text}`}>{clock(m.at)}</button>
            <span>{m.text}</span>
          </li>
        ))}
      </ol>
      {moments.length > FIRST && !all ? <button type="button" onClick={() => showAll(true)}>All {moments.length}</button> : null}
    </section>
  );
}

function found(o: Overview): Moment[] {
  const lasting = (h: { from: number; to: number }) => duration(Math.round((h.to - h.from) * 1000));
  const why = (h: Hole) => (h.reason ? `: ${h.reason}` : '');
  const moments: Moment[] = [
    ...o.lanes.flatMap((l) => l.lost.map(([from, , n]) => ({ at: from, text: `${l.name}: ${duration(n)} lost` }))),
    ...o.lanes.flatMap((l) => l.paused.map((h) => ({ at: h.from, text: `${l.name} was paused for ${lasting(h)}${why(h)}` }))),
    ...o.lanes.flatMap((l) => l.muted.map(([from, to]) => ({ at: from, text: `${l.name} was in no mix for ${lasting({ from, to })}` }))),
    ...o.lanes.flatMap((l) => l.excluded.map(([from, to]) => ({ at: from, text: `${l.name} was left out for ${lasting({ from, to })}` }))),
    ...o.pauses.map((h) => ({ at: h.from, text: `${h.output ? `Output ${h.output}` : 'The recording'} was paused for ${lasting(h)}${why(h)}` })),
    ...o.gaps.filter((g) => !o.pauses.some((p) => p.from <= g.to && p.to >= g.from))
      .map((h) => ({ at: h.from, text: `${h.output ?? ''} has no time for ${lasting(h)}${why(h)}` })),
    ...o.away.map(([from, to]) => ({ at: from, text: `The recorder was away for ${lasting({ from, to })}` })),
  ];
  return moments.sort((a, b) => a.at - b.at);
}
