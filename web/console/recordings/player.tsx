import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { clock } from '../text';
import { fileURL, nameOf, rowOf, type Manifest, type Output } from './manifest';
import { Moments } from './moments';
import { glance, look, type Hole, type Overview } from './overview';
import { Playback } from './playback';
import { Timeline } from './timeline';

const POINTS = 1500; // peaks over the width of the page
const SPEEDS = [0.75, 1, 1.25, 1.5, 2];

/**
 * Plays one output of a recording over a picture of all of it: the output's
 * wave, and one lane for each user. A click plays from that instant, and the
 * address of the page leads there again.
 */
export function Player({ manifest, instant, broken, failed }: { manifest: Manifest; instant: number; broken: Hole[]; failed: (e: unknown) => void }) {
  const outputs = useMemo(() => playable(manifest), [manifest]);
  const [chosen, choose] = useState(outputs[0]?.id ?? '');
  const [whole, setWhole] = useState<Overview>(() => glance(manifest));
  const [near, setNear] = useState<Overview | null>(null); // of what is shown, when that is not all
  const [shown, show] = useState({ from: 0, to: whole.length });
  const [why, setWhy] = useState(''); // there is no more than the manifest tells
  const [, redraw] = useState(0);
  const decks = useRef<HTMLDivElement>(null);
  const playback = useRef<Playback | null>(null);

  useEffect(() => {
    look(manifest, 0, 0, POINTS).then((o) => {
      setWhole(o);
      show({ from: 0, to: o.length });
    }, (e: Error) => setWhy(e.message));
  }, [manifest]);

  useEffect(() => {
    if (!decks.current) return undefined; // there is nothing to play
    const p = new Playback((s) => fileURL(manifest.id, s.path), rowOf(manifest, chosen), [...decks.current.querySelectorAll('audio')]);
    playback.current = p;
    p.changed = () => redraw((n) => n + 1);
    p.failed = failed;
    if (instant > 0) p.seek(instant, false);
    // The address is of the instant, for who wants to show it to somebody.
    p.moved = (seconds) => history.replaceState(null, '', `#recordings/${encodeURIComponent(manifest.id)}/${seconds.toFixed(1)}`);
    redraw((n) => n + 1);
    return () => p.close();
  }, [manifest, instant]);

  // What is shown larger is asked for again, when it has stood still for a moment.
  useEffect(() => {
    const all = shown.from <= 0 && shown.to >= whole.length;
    if (all || why) {
      setNear(null);
      return undefined;
    }
    let over = false;
    const timer = setTimeout(() => look(manifest, shown.from, shown.to, POINTS).then((o) => { if (!over) setNear(o); }, failed), 150);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [manifest, shown, whole]);

  const p = playback.current;
  const listenTo = (id: string) => {
    choose(id);
    p?.change(rowOf(manifest, id));
  };
  if (outputs.length === 0) return <p class="hint">No segment is sealed yet.</p>;
  return (
    <div class="player" data-playing={p?.playing && !p.waiting ? '' : undefined}>
      <div class="transport">
        <button id="play" type="button" class="primary" onClick={() => (p?.playing ? p.pause() : p?.play())}>{p?.playing ? 'Pause' : 'Play'}</button>
        <button type="button" title="Back" onClick={() => p?.seek(p.at - 10)}>−10 s</button>
        <button type="button" title="On" onClick={() => p?.seek(p.at + 10)}>+10 s</button>
        <span id="at" class="count">{clock(p?.at ?? 0)} / {clock(whole.length)}{p?.waiting ? ' …' : ''}</span>
        <label class="compact">
          <span>Listen to</span>
          <select id="output" value={chosen} onChange={(e) => listenTo(e.currentTarget.value)}>
            {outputs.map((o) => <option key={o.id} value={o.id}>{title(manifest, o)}</option>)}
          </select>
        </label>
        <label class="compact">
          <span>Speed</span>
          <select value="1" onChange={(e) => { if (p) p.rate = Number(e.currentTarget.value); }}>
            {SPEEDS.map((s) => <option key={s} value={s}>{s}×</option>)}
          </select>
        </label>
      </div>
      <div ref={decks} hidden>
        <audio preload="none" />
        <audio preload="none" />
      </div>
      {p ? (
        <Timeline overview={whole} near={near} output={chosen} title={title(manifest, outputs.find((o) => o.id === chosen)!)} shown={shown} show={show} broken={broken} playback={p} />
      ) : null}
      {why ? <p class="hint" id="why">Only who was there is shown: {why}</p> : null}
      <Moments overview={whole} play={(seconds) => p?.seek(seconds, true)} />
    </div>
  );
}

/** Outputs that have something to play, mixes first. */
function playable(m: Manifest): Output[] {
  const order = ['mix', 'dual', 'streams'];
  return m.outputs.filter((o) => m.segments.some((s) => s.output === o.id)).sort((a, b) => order.indexOf(a.what) - order.indexOf(b.what));
}

function title(m: Manifest, o: Output): string {
  const alone = m.outputs.filter((other) => other.what === o.what && other.streamID === o.streamID && other.userID === o.userID).length === 1;
  const name = o.what === 'mix' ? 'Mix' : o.what === 'dual' ? 'Left and right' : nameOf(m, o.userID ?? '');
  const several = o.userID && m.streams.filter((s) => s.userID === o.userID).length > 1 ? `, ${o.streamID}` : '';
  return `${name}${several}${alone ? '' : ` (${o.format})`}`;
}
