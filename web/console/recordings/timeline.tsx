import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { clock, duration } from '../text';
import { drawLane, drawWave, type Window } from './drawing';
import type { Hole, Lane, Overview, Trouble } from './overview';
import type { Playback } from './playback';

const CLOSEST = 2; // s: nothing is shown larger

interface Props {
  overview: Overview;
  /** The same for the part that is shown, if that is not all. */
  near: Overview | null;
  output: string;
  title: string;
  shown: Window;
  show: (w: Window) => void;
  /** What verify found wrong. */
  broken: Hole[];
  playback: Playback;
}

/** The wave of what is listened to and a lane for each user, over the same time; a slider lies over them. */
export function Timeline({ overview, near, output, title, shown, show, broken, playback }: Props) {
  const [paint, setPaint] = useState(0); // counts what the canvases have to be drawn again for
  const [hover, setHover] = useState<number | null>(null);
  const area = useRef<HTMLDivElement>(null);
  const sharp = near && near.from <= shown.from + 0.1 && near.to >= shown.to - 0.1 ? near : overview;
  const length = overview.length;

  useEffect(() => {
    const again = () => setPaint((n) => n + 1);
    const size = new ResizeObserver(again);
    size.observe(area.current!);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', again);
    return () => {
      size.disconnect();
      dark.removeEventListener('change', again);
    };
  }, []);

  const zoom = (factor: number, around = playback.at) => {
    const size = Math.min(length, Math.max(CLOSEST, (shown.to - shown.from) * factor));
    const centre = Math.min(Math.max(around, shown.from), shown.to);
    const from = Math.min(Math.max(0, centre - ((centre - shown.from) / Math.max(0.001, shown.to - shown.from)) * size), length - size);
    show({ from, to: from + size });
  };
  const pan = (seconds: number) => {
    const size = shown.to - shown.from;
    const from = Math.min(Math.max(0, shown.from + seconds), length - size);
    show({ from, to: from + size });
  };
  const all = shown.to - shown.from >= length - 0.1;
  const time = (event: MouseEvent) => {
    const box = area.current!.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, box.width)));
    return shown.from + share * (shown.to - shown.from);
  };
  const wheel = useRef((_: WheelEvent) => {});
  wheel.current = (event) => {
    if (event.ctrlKey) {
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.25 : 0.8, time(event));
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) && !all) {
      event.preventDefault();
      pan((event.deltaX / Math.max(1, area.current!.clientWidth)) * (shown.to - shown.from));
    }
  };
  useEffect(() => {
    const turn = (event: WheelEvent) => wheel.current(event);
    area.current!.addEventListener('wheel', turn, { passive: false }); // a listener that may keep the page still
    return () => area.current?.removeEventListener('wheel', turn);
  }, []);

  const keys = (event: KeyboardEvent) => {
    const does: Record<string, () => void> = {
      ArrowLeft: () => playback.seek(playback.at - 5), ArrowRight: () => playback.seek(playback.at + 5),
      PageDown: () => playback.seek(playback.at - 60), PageUp: () => playback.seek(playback.at + 60),
      Home: () => playback.seek(0), End: () => playback.seek(length),
      ' ': () => (playback.playing ? playback.pause() : playback.play()), '+': () => zoom(0.5), '-': () => zoom(2),
    };
    const act = does[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  };
  return (
    <>
      <div class="timeline">
        <Row class="wave" name={title} label={`Wave of ${title}`} draw={(c) => drawWave(c, sharp, sharp.mixes.find((w) => w.output === output) ??
          sharp.lanes.flatMap((l) => l.waves).find((w) => w.output === output), shown)} drawn={[sharp, output, paint, shown]}>
          {broken.filter((b) => (!b.output || b.output === output) && b.to > shown.from && b.from < shown.to).map(({ from, to }) => (
            <i key={from} class="broken" style={{ left: `${Math.max(0, at(from, shown))}%`, width: `max(4px, ${Math.min(100, at(to, shown)) - Math.max(0, at(from, shown))}%)` }} />
          ))}
        </Row>
        {sharp.lanes.map((lane, i) => (
          <Row key={lane.userID} class="lane" name={lane.name} note={share(overview.lanes[i] ?? lane, length)} label={told(lane)}
            draw={(c) => drawLane(c, sharp, lane, shown)} drawn={[sharp, paint, shown]}>
            {marks(lane.lost, shown).map(([from, to, n]) => (
              <i key={from} class="lost" data-from={from} data-to={to} title={`${clock(from)}: ${duration(n)} lost`}
                style={{ left: `${at(from, shown)}%`, width: `max(4px, ${at(to, shown) - at(from, shown)}%)` }} />
            ))}
          </Row>
        ))}
        <Axis shown={shown} width={area.current?.clientWidth ?? 0} />
        <div ref={area} id="lanes" class="cursor" role="slider" tabIndex={0} aria-label="Place in the recording" aria-valuemin={0} aria-valuemax={Math.round(length)}
          aria-valuenow={Math.round(playback.at)} aria-valuetext={`${clock(playback.at)} of ${clock(length)}`} onKeyDown={keys}
          onClick={(e) => playback.seek(time(e), true)} onPointerMove={(e) => setHover(time(e))} onPointerLeave={() => setHover(null)}>
          {hover !== null ? <span class="hover" style={{ left: `${at(hover, shown)}%` }}><b>{moment(hover, sharp)}</b></span> : null}
          <Playhead playback={playback} shown={shown} show={show} length={length} />
        </div>
      </div>
      <div class="scale">
        <div class="buttons">
          <button type="button" id="closer" aria-label="+ (show less, larger)" onClick={() => zoom(0.5)} disabled={shown.to - shown.from <= CLOSEST}>+</button>
          <button type="button" id="farther" aria-label="− (show more, smaller)" onClick={() => zoom(2)} disabled={all}>−</button>
          <button type="button" onClick={() => show({ from: 0, to: length })} disabled={all}>All</button>
          <button type="button" aria-label="‹ (earlier)" onClick={() => pan(-(shown.to - shown.from) / 2)} disabled={shown.from <= 0}>‹</button>
          <button type="button" aria-label="› (later)" onClick={() => pan((shown.to - shown.from) / 2)} disabled={shown.to >= length - 0.01}>›</button>
        </div>
        <ul class="legend" aria-hidden="true">
          <li><i class="talk" />speaks</li><li><i class="quiet" />sound</li><li><i class="there" />in the room</li>
          <li><i class="bad" />lost</li><li><i class="rough" />jitter</li><li><i class="held" />left out on purpose</li><li><i class="gone" />recorder away</li>
        </ul>
      </div>
    </>
  );
}

/** Where a time is in the window, in percent. */
const at = (seconds: number, { from, to }: Window) => (100 * (seconds - from)) / Math.max(0.001, to - from);

/** A canvas that is drawn when what it shows has changed. */
function Row({ name, note, label, draw, drawn, children, ...rest }: {
  class: string; name: string; note?: string; label: string; draw: (c: HTMLCanvasElement) => void; drawn: unknown[]; children?: preact.ComponentChildren;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => draw(canvas.current!), drawn);
  return (
    <div class={rest.class} data-user={name}>
      <div class="who"><span class="name">{name}</span>{note ? <span class="note">{note}</span> : null}</div>
      <div class="track">
        <canvas ref={canvas} role="img" aria-label={label} />
        {children}
      </div>
    </div>
  );
}

const total = (spans: [number, number, ...unknown[]][]) => spans.reduce((sum, [from, to]) => sum + to - from, 0);

function share(lane: Lane, length: number): string {
  const percent = Math.round((100 * total(lane.talk)) / Math.max(1, length));
  return lane.talk.length > 0 ? `speaks ${percent} %` : '';
}

/** What a lane shows, for those who do not see it. */
function told(lane: Lane): string {
  const lost = lane.lost.reduce((sum, [, , n]) => sum + n, 0);
  return `${lane.name}: in the room for ${clock(total(lane.present))}, spoke for ${clock(total(lane.talk))}${lost > 0 ? `, ${duration(lost)} lost` : ''}`;
}

/** Losses as marks that can be told apart: at most 200 over the window. */
function marks(lost: Trouble[], shown: Window): Trouble[] {
  const apart = (shown.to - shown.from) / 200;
  const all: Trouble[] = [];
  for (const [from, to, n] of [...lost].sort((a, b) => a[0] - b[0])) {
    const last = all.at(-1);
    if (to < shown.from || from > shown.to) continue;
    if (last && from - last[1] < apart) all[all.length - 1] = [last[0], Math.max(last[1], to), last[2] + n];
    else all.push([from, to, n]);
  }
  return all;
}

/** What there is to be said of an instant. */
function moment(seconds: number, o: Overview): string {
  const here = (spans: [number, number, ...unknown[]][]) => spans.some(([from, to]) => seconds >= from && seconds <= to);
  const speaking = o.lanes.filter((l) => here(l.talk)).map((l) => l.name);
  const losing = o.lanes.filter((l) => here(l.lost)).map((l) => `${l.name} is lost`);
  const held = [...o.pauses, ...o.gaps].filter((h) => seconds >= h.from && seconds <= h.to).slice(0, 1).map((h) => (h.reason ? `paused: ${h.reason}` : 'paused'));
  return [clock(seconds), speaking.slice(0, 3).join(', '), ...losing.slice(0, 2), ...held].filter((t) => t !== '').join(' · ');
}

/** Times under the lanes, as many as there is room for. */
function Axis({ shown, width }: { shown: Window; width: number }) {
  const span = shown.to - shown.from;
  const steps = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  const step = steps.find((s) => (s / span) * width >= 70) ?? 28800;
  const ticks = [];
  for (let t = Math.ceil(shown.from / step) * step; t <= shown.to && ticks.length < 60; t += step) ticks.push(t);
  return (
    <div class="axis" aria-hidden="true">
      <div class="who" />
      <div class="track">
        {ticks.map((t) => <span key={t} style={{ left: `${at(t, shown)}%` }}>{clock(t)}{step < 1 && t % 1 > 0 ? '.5' : ''}</span>)}
      </div>
    </div>
  );
}

/** The line where it plays: moved by itself while sound comes. What is shown follows. */
function Playhead({ playback, shown, show, length }: { playback: Playback; shown: Window; show: (w: Window) => void; length: number }) {
  const line = useRef<HTMLElement>(null);
  const place = () => {
    const x = at(playback.at, shown);
    line.current!.style.left = `${Math.min(100, Math.max(0, x))}%`;
    line.current!.hidden = x < -0.01 || x > 100.01;
    const size = shown.to - shown.from;
    if (playback.playing && (x > 100 || x < 0) && size < length) {
      const from = Math.min(Math.max(0, playback.at - size * 0.05), length - size);
      show({ from, to: from + size });
    }
  };
  useLayoutEffect(place);
  useEffect(() => {
    if (!playback.playing) return undefined;
    let frame = requestAnimationFrame(function move() {
      place();
      frame = requestAnimationFrame(move);
    });
    return () => cancelAnimationFrame(frame);
  }, [playback.playing, shown]);
  return <b ref={line} class="playhead" />;
}
