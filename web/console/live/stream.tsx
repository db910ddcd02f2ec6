import { useRef, useState } from 'preact/hooks';
import { LedgerBar } from '../ledger';
import { useRights } from '../rights';
import { Sure } from '../sure';
import { duration, when } from '../text';
import { Listen, type Call } from './capture';
import type { Meters } from './meters';
import { useSeen } from './seen';
import { percent, type Capture, type Figures, type Stream } from './types';

interface Props {
  capture: Capture;
  stream: Stream;
  meters: Meters;
  call: Call;
  remove: (streamID: string) => void;
  heard: boolean;
  listen: (address: string) => void;
}

/**
 * One stream of a capture. Mute and gain are of the mixes, its own file goes on
 * as it is; who is excluded is heard and written nowhere.
 */
export function StreamRow({ capture, stream: s, meters, call, remove, heard, listen }: Props) {
  const may = useRights();
  const [more, setMore] = useState(false);
  const [figures, setFigures] = useState<Figures>(s);
  const meter = useRef<HTMLDivElement>(null);
  const name = s.user.userName || s.user.userID;
  const ref = useSeen<HTMLLIElement>(() => meters.row(capture.id, s.streamID, {
    level: (dB) => {
      const bar = meter.current!;
      const level = percent(dB);
      (bar.firstElementChild as HTMLElement).style.transform = `translateX(${level - 100}%)`;
      bar.setAttribute('aria-valuenow', String(level));
    },
    figures: setFigures,
  }), [capture.id, s.streamID]);
  const { lost = 0, packets = 0, jitterMs = 0, driftPpm = 0 } = figures.quality;
  const { mute = [], exclude = [], gains = {} } = capture.mix;
  const listed = (list: string[]) => list.includes(s.streamID) || list.includes(s.user.userID);
  const [muted, excluded] = [listed(mute), listed(exclude)];
  const paused = capture.pauses.some((p) => p.streamID === s.streamID || p.userID === s.user.userID);
  const gain = gains[s.streamID] ?? gains[s.user.userID] ?? 0;
  const without = (list: string[]) => list.filter((id) => id !== s.streamID && id !== s.user.userID);
  const toggle = (what: 'mute' | 'exclude', list: string[], on: boolean) => call('PATCH', '', { mix: { [what]: on ? without(list) : [...list, s.streamID] } });
  const bad = lost > 0 && lost / (lost + packets) > 0.01;
  return (
    <li ref={ref} class={excluded ? 'out' : ''}>
      <div class="person"><strong>{name}</strong><span class="note">{s.streamID}</span></div>
      <div>
        <div class="meter" role="meter" ref={meter} aria-label={`Level of ${name}`} aria-valuemin={0} aria-valuemax={100} aria-valuenow={0}><span /></div>
        <LedgerBar ledger={figures.ledger} name={name} />
      </div>
      <span class={`note figures ${bad ? 'bad' : ''}`}>
        {excluded ? <span class="chip">excluded</span> : null}{paused ? <span class="chip paused">paused</span> : null}
        {lost} lost · {jitterMs.toFixed(0)} ms jitter · {driftPpm.toFixed(0)} ppm
      </span>
      <div class="tools">
        {may('captures.listen') ? (
          <Listen on={heard} name={name} listen={(on) => listen(on ? `/v1/captures/${encodeURIComponent(capture.id)}/live?stream=${encodeURIComponent(s.streamID)}` : '')} />
        ) : null}
        {may('captures.run') ? (
          <button type="button" class="mute" aria-pressed={muted} aria-label={`${muted ? 'Muted:' : 'Mute'} ${name} in the mix`} onClick={() => toggle('mute', mute, muted)}>{muted ? 'Muted' : 'Mute'}</button>
        ) : null}
        <button type="button" class="more" aria-expanded={more} aria-label={`${more ? 'Less' : 'More'} about ${name}`} onClick={() => setMore(!more)}>{more ? 'Less' : 'More'}</button>
      </div>
      {more ? (
        <div class="all">
          {may('captures.run') ? (
            <div class="tools">
              <label class="gain">Gain
                <input type="range" min={-20} max={12} step={1} value={gain} aria-label={`Gain of ${name} in the mix`} aria-valuetext={`${gain} dB`}
                  onChange={(e) => call('PATCH', '', { mix: { gains: { [s.streamID]: e.currentTarget.valueAsNumber } } })} />
                <span class="note">{gain > 0 ? '+' : ''}{gain} dB</span>
              </label>
              <button type="button" class="exclude" aria-pressed={excluded} onClick={() => toggle('exclude', exclude, excluded)}>{excluded ? 'Include again' : 'Exclude'}</button>
              <button type="button" class="pause-one" aria-pressed={paused} onClick={() => call('POST', paused ? '/resume' : '/pause', { streamID: s.streamID })}>{paused ? 'Resume' : 'Pause'}</button>
              {may('rooms.moderate') ? <Sure text="Remove from room" really="Really remove?" act={() => remove(s.streamID)} /> : null}
            </div>
          ) : null}
          <Details stream={s} figures={figures} />
        </div>
      ) : null}
    </li>
  );
}

/** What became of the stream's time, what its packets were like, and when it was there. */
function Details({ stream: s, figures: { ledger, quality } }: { stream: Stream; figures: Figures }) {
  const time = Object.entries(ledger).filter(([name, ms]) => name === 'span' || ms > 0).sort(([a, x], [b, y]) => Number(b === 'span') - Number(a === 'span') || y - x);
  return (
    <dl class="facts">
      {time.map(([name, ms]) => <div key={name}><dt>{words(name)}</dt><dd>{duration(ms)}</dd></div>)}
      {Object.entries(quality).map(([name, n]) => <div key={name}><dt>{words(name)}</dt><dd>{n}</dd></div>)}
      {(s.joins ?? []).map((j) => <div key={j.join} class="stay"><dt>in the room</dt><dd>{when(j.join)}{j.leave ? ` to ${when(j.leave)}` : ' until now'}</dd></div>)}
    </dl>
  );
}

/** jitterMs as "jitter, ms", recoveredFEC as "recovered FEC". */
function words(name: string): string {
  return name.replace(/(Ms|Ppm)$/, (unit) => `, ${unit.toLowerCase()}`).replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b}`)
    .replace(/ ([A-Z])(?=[a-z])/g, (_, b: string) => ` ${b.toLowerCase()}`);
}
