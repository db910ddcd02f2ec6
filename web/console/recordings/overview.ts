import { get } from '../rest';
import { nameOf, RATE, type Manifest } from './manifest';

/** From and to, in seconds of the recording. */
export type Span = [from: number, to: number];

/** What GET /v1/recordings/{id}/overview answers; times are in ms. */
interface Answer {
  length: number;
  from: number;
  to: number;
  waves: { output: string; what: string; streamID?: string; userID?: string; peaks: string }[];
  lanes: {
    streamID: string; userID: string; present: Pair[]; talk: Pair[]; muted?: Pair[]; excluded?: Pair[]; lost?: Triple[]; jitter?: Triple[];
  }[];
  pauses: Hole[];
  gaps: Hole[];
  away: Pair[];
  unmeasured?: string[];
}

type Pair = [number, number];
type Triple = [number, number, number];

export interface Hole {
  from: number;
  to: number;
  mode?: string;
  reason?: string;
  output?: string;
  userID?: string;
  streamID?: string;
}

/** Peaks of one output: equal parts of from to to, 0 is silence, 1 is full scale. */
export interface Wave {
  output: string;
  what: string;
  streamID: string;
  userID: string;
  peaks: Float32Array;
}

/** What went wrong within a span, and how much of it: ms that were lost, or of jitter. */
export type Trouble = [from: number, to: number, amount: number];

/** One user over time, with all that they published. */
export interface Lane {
  userID: string;
  name: string;
  streams: string[];
  present: Span[];
  talk: Span[];
  muted: Span[];
  excluded: Span[];
  lost: Trouble[];
  jitter: Trouble[];
  paused: Hole[];
  waves: Wave[];
}

/** A recording, or a part of it, at a glance. Times are in seconds. */
export interface Overview {
  length: number;
  from: number;
  to: number;
  mixes: Wave[];
  lanes: Lane[];
  /** What was paused as a whole. */
  pauses: Hole[];
  gaps: Hole[];
  away: Span[];
}

export async function look(m: Manifest, from: number, to: number, points: number): Promise<Overview> {
  const tenths = (seconds: number) => (seconds / 10).toFixed(1); // outwards: what is shown must be in it
  const query = new URLSearchParams({ from: tenths(Math.floor(from * 10)), to: tenths(Math.ceil(to * 10)), points: String(points) });
  return arrange(m, await get<Answer>(`/v1/recordings/${encodeURIComponent(m.id)}/overview?${query}`));
}

/** What the manifest alone tells: for a recording that goes on, or of which nobody may see more. */
export function glance(m: Manifest): Overview {
  const ms = (time: string) => Date.parse(time) - Date.parse(m.start);
  const length = Math.max(0, ...m.segments.map((s) => ((s.startSample + s.samples) * 1000) / RATE));
  return arrange(m, {
    length, from: 0, to: length, waves: [], pauses: [], gaps: [], away: [],
    lanes: m.streams.map(({ streamID, userID, joins }) => ({
      streamID, userID, talk: [],
      present: joins.map(({ join, leave }): Pair => [Math.max(0, ms(join)), leave ? ms(leave) : length]),
    })),
  });
}

function arrange(m: Manifest, a: Answer): Overview {
  const waves = a.waves.map((w): Wave => ({ output: w.output, what: w.what, streamID: w.streamID ?? '', userID: w.userID ?? '', peaks: peaks(w.peaks) }));
  const lanes = new Map<string, Lane>();
  for (const l of a.lanes) {
    const lane = lanes.get(l.userID) ?? {
      userID: l.userID, name: nameOf(m, l.userID), streams: [], present: [], talk: [], muted: [], excluded: [], lost: [], jitter: [],
      paused: [], waves: [],
    };
    lanes.set(l.userID, lane);
    lane.streams.push(l.streamID);
    lane.present.push(...spans(l.present));
    lane.talk.push(...spans(l.talk));
    lane.muted.push(...spans(l.muted));
    lane.excluded.push(...spans(l.excluded));
    lane.lost.push(...troubles(l.lost));
    lane.jitter.push(...troubles(l.jitter));
    lane.waves.push(...waves.filter((w) => w.streamID === l.streamID && w.userID === l.userID && w.peaks.some((p) => p > 0)).slice(0, 1));
  }
  const holes = (all: Hole[]) => all.map((h) => ({ ...h, from: h.from / 1000, to: h.to / 1000 }));
  const pauses = holes(a.pauses);
  for (const lane of lanes.values()) lane.paused = pauses.filter((p) => p.userID === lane.userID || (p.streamID && lane.streams.includes(p.streamID)));
  return {
    length: a.length / 1000, from: a.from / 1000, to: a.to / 1000, mixes: waves.filter((w) => !w.streamID), lanes: [...lanes.values()],
    pauses: pauses.filter((p) => !p.userID && !p.streamID), gaps: holes(a.gaps), away: spans(a.away),
  };
}

const spans = (all: Pair[] = []) => all.map(([from, to]): Span => [from / 1000, to / 1000]);
const troubles = (all: Triple[] = []) => all.map(([from, to, n]): Trouble => [from / 1000, to / 1000, n]);

/** A byte is a quarter of a decibel below full scale; 0 is silence. */
const AMPLITUDES = Float32Array.from({ length: 256 }, (_, b) => (b === 0 ? 0 : 10 ** ((b - 255) / 80)));

function peaks(base64: string): Float32Array {
  const text = atob(base64);
  return Float32Array.from({ length: text.length }, (_, i) => AMPLITUDES[text.charCodeAt(i)]!);
}
