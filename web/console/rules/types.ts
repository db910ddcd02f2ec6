export interface Rule {
  id: string;
  version: number;
  changedAt: string;
  changedBy: string;
  disabled?: boolean;
  priority?: number;
  system?: string;
  rooms: string[];
  users?: string[];
  start?: 'stream' | 'user';
  between?: { days?: string[]; from: string; to: string }[];
  timezone?: string;
  labels?: Record<string, string>;
  capture: { record?: { what: string; format?: string; storage?: string }[]; republish?: { streamID: string }[] };
}

export interface Decision {
  at: string;
  roomID: string;
  open: boolean;
  users: string[];
  streams: string[];
  capture?: string;
  verdicts: { rule: string; version: number; result: string; because: string }[];
}
