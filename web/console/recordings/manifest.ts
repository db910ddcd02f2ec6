// What the REST API says of recordings.

export interface Recording {
  id: string;
  room: { system: string; roomID: string };
  state: string;
  start: string;
  end: string | null;
  seconds: number;
  labels: Record<string, string> | null;
}

export interface Segment {
  path: string;
  output: string;
  startSample: number;
  samples: number;
  bytes: number;
}

export interface Manifest {
  id: string;
  room: { system: string; roomID: string };
  start: string;
  end: string | null;
  state: string;
  outputs: { id: string; what: string; format: string; streamID?: string; userID?: string }[];
  users: { userID: string; userName: string }[];
  streams: { streamID: string; userID: string }[];
  segments: Segment[];
  ledger: Record<string, Record<string, number>>;
  sealed?: { at: string };
}

export const fileURL = (id: string, path: string) =>
  `/v1/recordings/${encodeURIComponent(id)}/files/${path.split('/').map(encodeURIComponent).join('/')}`;
