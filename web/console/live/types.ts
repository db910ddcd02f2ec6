// Captures and rooms, as far as the page shows them.

export interface Figures {
  ledger: Record<string, number>;
  quality: Record<string, number>;
}

export interface Stream extends Figures {
  streamID: string;
  user: { userID: string; userName: string };
  joins: { join: string; leave: string | null }[];
  present: boolean;
  levelDb: number;
}

export interface Pause {
  userID?: string;
  streamID?: string;
  output?: string;
  mode: string;
  reason?: string;
  actor: string;
  since: string;
  until: string | null;
}

export interface Capture {
  id: string;
  state: string;
  reason?: string;
  trouble?: string;
  start: string;
  end: string | null;
  seconds: number;
  room: { system: string; roomID: string };
  mix: { gains?: Record<string, number>; mute?: string[]; exclude?: string[] };
  pauses: Pause[];
  streams: Stream[];
  outputs: { id: string; what: string; format: string; segments: number; durableTo?: string | null }[];
  live: { running: boolean; latencyP50Ms: number; droppedFrames: number };
  listening: { verdict: string; streams?: string[] };
}

export interface Room {
  roomID: string;
  onlineUsers: number;
  recording: boolean | 'paused';
  streams: { streamID: string; userID: string; userName: string; level: number; live: boolean }[];
}

export interface Spool {
  space: { level: string; freeBytes: number; totalBytes: number; freePercent: number; hoursLeft: number | null };
  storages: Record<string, {
    pendingFiles: number; pendingBytes: number; oldestSeconds: number; uploadedFiles: number; failures: number; conflicts: number;
    backedUpFiles: number; downSince: string | null; lastError?: string;
  }>;
  quarantine: string[];
  conflicts: { storage: string; key: string }[];
}

export const ended = (state: string) => state === 'complete' || state === 'failed';

/** dBFS as 0 to 100: -60 and less is 0. */
export function percent(dB: number | null): number {
  return dB === null ? 0 : Math.round(Math.min(100, Math.max(0, 100 + (dB * 100) / 60)));
}
