// What the REST API says of recordings.

export interface Recording {
  id: string;
  room: { system: string; roomID: string };
  state: string;
  start: string;
  end: string | null;
  seconds: number;
  segments: number;
  storage: string[];
  labels: Record<string, string> | null;
  holds?: string[];
}

export interface Segment {
  path: string;
  output: string;
  startSample: number;
  samples: number;
  bytes: number;
}

export interface Output {
  id: string;
  what: string;
  format: string;
  streamID?: string;
  userID?: string;
}

export interface Presence {
  join: string;
  leave: string | null;
}

export interface Manifest {
  id: string;
  room: { system: string; roomID: string };
  start: string;
  end: string | null;
  state: string;
  outputs: Output[];
  users: { userID: string; userName: string }[];
  streams: { streamID: string; userID: string; joins: Presence[] }[];
  segments: Segment[];
  files?: { path: string; bytes: number }[];
  ledger: Record<string, Record<string, number>>;
  labels: Record<string, string>;
  encryption?: object;
  sealed?: { at: string };
}

export const RATE = 48000;

/** Where a segment begins and ends, in seconds of the recording. */
export const begins = (s: Segment) => s.startSample / RATE;
export const ends = (s: Segment) => (s.startSample + s.samples) / RATE;

/** The segments of one output, in their order. */
export const rowOf = (m: Manifest, output: string) =>
  m.segments.filter((s) => s.output === output).sort((a, b) => a.startSample - b.startSample);

/** A user's name, or the id. */
export const nameOf = (m: Manifest, userID: string) => m.users.find((u) => u.userID === userID)?.userName || userID;

export const fileURL = (id: string, path: string) =>
  `/v1/recordings/${encodeURIComponent(id)}/files/${path.split('/').map(encodeURIComponent).join('/')}`;
