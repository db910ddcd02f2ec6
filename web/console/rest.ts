// The REST API as the console uses it; /openapi.json describes all of it. Every
// call carries the key; sound is fetched by the browser itself, which shows the
// session's cookie.

const KEY = 'api-key';

export interface Stream {
  streamID: string;
  user: { userID: string; userName: string };
  present: boolean;
  levelDb: number;
  ledger: Record<string, number>;
  quality: Record<string, number>;
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
  mix: { gains?: Record<string, number>; mute?: string[] };
  streams: Stream[];
  outputs: { id: string; what: string; format: string; segments: number; storage: string[] }[];
  live: { running: boolean; latencyP50Ms: number };
}

export interface Room {
  roomID: string;
  onlineUsers: number;
  recording: boolean | 'paused';
  users: { userID: string; userName: string; connected: boolean }[];
  streams: { streamID: string; userID: string; userName: string; level: number; live: boolean }[];
}

export interface Spool {
  storages: Record<string, { pendingFiles: number; pendingBytes: number; downSince: string | null; lastError?: string }>;
}

/** What a refused call rejects with: RFC 9457. */
export class Refused extends Error {
  constructor(readonly status: number, detail: string) {
    super(detail);
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? '',
  set: (value: string) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

export async function ask(method: string, path: string, body?: unknown): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method, headers: { Authorization: `Bearer ${key.get()}`, ...(body ? { 'Content-Type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
  } catch {
    throw new Refused(0, 'The daemon does not answer.');
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  const errors = (problem.errors ?? []).map((e: { location?: string; message?: string }) => `${e.location ?? ''} ${e.message ?? ''}`.trim());
  throw new Refused(answer.status, [problem.detail || problem.title || answer.statusText, ...errors].join('; '));
}

export async function get<T>(path: string): Promise<T> {
  return (await ask('GET', path)).json();
}
