import { useEffect, useRef, useState } from 'preact/hooks';
import { ask } from '../rest';
import { clock } from '../text';
import { fileURL, type Manifest, type Segment } from './manifest';

const RATE = 48000;

interface Span {
  from: number; // s
  to: number;
}

/**
 * Plays a recording's mix, or its first stream: one segment after the other,
 * each fetched when it is its turn. Below it one lane for each stream shows who
 * spoke; a click plays from that instant.
 */
export function Player({ manifest, failed }: { manifest: Manifest; failed: (e: unknown) => void }) {
  const audio = useRef<HTMLAudioElement>(null);
  const [at, setAt] = useState(0);
  const [playing, setPlaying] = useState(false);
  const [lanes, setLanes] = useState<Map<string, Span[]>>(new Map());
  const current = useRef<Segment | null>(null);

  const output = manifest.outputs.find((o) => o.what === 'mix') ?? manifest.outputs[0];
  const segments = manifest.segments.filter((s) => s.output === output?.id).sort((a, b) => a.startSample - b.startSample);
  const length = Math.max(1, ...manifest.segments.map((s) => (s.startSample + s.samples) / RATE));

  useEffect(() => {
    talks(manifest.id, length).then(setLanes, () => setLanes(new Map())); // a running one has no file yet
  }, [manifest.id]);

  const seek = (seconds: number, play = true) => {
    const sample = Math.max(0, seconds) * RATE;
    const segment = segments.find((s) => sample < s.startSample + s.samples);
    const element = audio.current;
    if (!segment || !element) return;
    const offset = Math.max(0, sample - segment.startSample) / RATE;
    setAt((segment.startSample / RATE) + offset);
    if (current.current !== segment) {
      current.current = segment;
      element.src = fileURL(manifest.id, segment.path);
    }
    element.currentTime = offset; // before it is loaded: where it begins
    if (play) element.play().catch((e: Error) => { if (e.name !== 'AbortError') failed(e); });
  };
  const start = () => (current.current ? current.current.startSample / RATE : 0);
  const toggle = () => {
    if (playing) audio.current!.pause();
    else seek(at >= length - 0.1 ? 0 : at);
  };
  const next = () => {
    const i = segments.indexOf(current.current!);
    const following = segments[i + 1];
    if (following) seek(following.startSample / RATE);
    else setPlaying(false);
  };
  const keys = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -5, ArrowRight: 5, PageDown: -60, PageUp: 60 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    seek(Math.min(length, at + step), playing);
  };
  const click = (event: MouseEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * length);
  };
  if (segments.length === 0) return <p class="hint">No segment is sealed yet.</p>;
  return (
    <div class="player">
      <div class="buttons">
        <button id="play" type="button" onClick={toggle}>{playing ? 'Pause' : 'Play'}</button>
        <span id="at" class="count">{clock(at)} / {clock(length)}</span>
      </div>
      <audio ref={audio} preload="none" onPlay={() => setPlaying(true)} onPause={() => setPlaying(false)} onEnded={next}
        onTimeUpdate={() => setAt(start() + audio.current!.currentTime)}
        onError={() => failed(new Error(`${current.current?.path ?? 'The recording'} could not be played.`))} />
      <div class="lanes" id="lanes" role="slider" tabIndex={0} aria-label="Place in the recording" aria-valuemin={0} aria-valuemax={Math.round(length)}
        aria-valuenow={Math.round(at)} aria-valuetext={`${clock(at)} of ${clock(length)}`} onClick={click} onKeyDown={keys}>
        {manifest.streams.map(({ streamID, userID }) => (
          <div class="lane" key={streamID} data-stream={streamID}>
            <span class="name">{manifest.users.find((u) => u.userID === userID)?.userName || userID}</span>
            {(lanes.get(streamID) ?? []).map(({ from, to }, i) => (
              <i key={i} style={{ left: `${(100 * from) / length}%`, width: `${Math.max(0.1, (100 * (to - from)) / length)}%` }} />
            ))}
          </div>
        ))}
        <b style={{ left: `${Math.min(100, (100 * at) / length)}%` }} />
      </div>
    </div>
  );
}

/** Who spoke when, out of the recording's timeline. */
async function talks(id: string, length: number): Promise<Map<string, Span[]>> {
  const text = await (await ask('GET', fileURL(id, 'events.jsonl'))).text();
  const lanes = new Map<string, Span[]>();
  const open = new Map<string, number>();
  const events = text.split('\n').filter((line) => line.includes('"talk.')).map((line) => JSON.parse(line) as { type: string; who: { streamID: string }; sample: number });
  const close = (streamID: string, to: number) => {
    const from = open.get(streamID);
    if (from === undefined) return;
    open.delete(streamID);
    lanes.set(streamID, [...(lanes.get(streamID) ?? []), { from, to }]);
  };
  for (const { type, who: { streamID }, sample } of events.sort((a, b) => a.sample - b.sample)) {
    if (type === 'talk.started') open.set(streamID, sample / RATE);
    else close(streamID, sample / RATE);
  }
  for (const streamID of [...open.keys()]) close(streamID, length);
  return lanes;
}
