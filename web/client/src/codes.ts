// ZEGO's codes, as its public error table lists them.

export const Code = {
  NOT_LOGGED_IN: 1000002,
  STREAM_ID_LONG: 1000014,
  STREAM_ID_EMPTY: 1000015,
  STREAM_ID_BAD: 1000016,
  RETRYING: 1000017,
  BAD_STREAM: 1000018,
  ALREADY_LOGGED_IN: 1002001,
  USER_ID_EMPTY: 1002005,
  USER_ID_BAD: 1002006,
  USER_ID_LONG: 1002007,
  USER_NAME_LONG: 1002010,
  ROOM_ID_EMPTY: 1002011,
  ROOM_ID_BAD: 1002012,
  ROOM_ID_LONG: 1002013,
  LOGIN_TIMEOUT: 1002031,
  RETRY_EXCEEDED: 1002053,
  RELAY_FAILED: 1003040,
  STREAM_MISSING: 1004002,
  PLAY_INTERRUPTED: 1004020,
  MIX_START: 1005010,
  MIX_STOP: 1005011,
  BAD_PARAMETER: 1100001,
  CALL_TIMEOUT: 1100002,
  SOCKET_CLOSED: 1100003,
  SERVER_ERROR: 1100999,
  HEARTBEAT_TIMEOUT: 1102001,
  PUBLISH_PARAMETER: 1103001,
  PUBLISH_CONNECT: 1103003,
  PUBLISH_NO_ADDRESS: 1103020,
  PUBLISH_SDP: 1103022,
  NOT_PUBLISHING: 1103040,
  PUBLISH_SOCKET: 1103050,
  PUBLISH_GAVE_UP: 1103051,
  HTTPS_REQUIRED: 1103053,
  ALREADY_PUBLISHING: 1103056,
  MICROPHONE_FAILED: 1103061,
  MICROPHONE_DENIED: 1103064,
  MICROPHONE_BUSY: 1103065,
  MICROPHONE_CONSTRAINTS: 1103066,
  PLAY_NO_ADDRESS: 1104020,
  PLAY_CONNECT: 1104021,
  PLAY_SDP: 1104022,
  PLAY_GAVE_UP: 1104031,
  ALREADY_PLAYING: 1104032,
} as const;

/** A login that failed with one of these is worth another attempt. */
export const TRANSIENT: ReadonlySet<number> = new Set([
  Code.RETRYING, Code.LOGIN_TIMEOUT, Code.CALL_TIMEOUT, Code.SOCKET_CLOSED, Code.SERVER_ERROR, Code.HEARTBEAT_TIMEOUT,
  -32603, -32000, // JSON-RPC: an internal error, too many messages
]);

/** What every failed call rejects with: ZEGO's code and a sentence. */
export class ZegoError extends Error {
  /** The same as errorCode: mini programs look here. */
  readonly code: number;

  constructor(readonly errorCode: number, readonly extendedData: string) {
    super(extendedData);
    this.name = 'ZegoError';
    this.code = errorCode;
  }
}

export function asZegoError(e: unknown, fallback: number): ZegoError {
  if (e instanceof ZegoError) return e;
  return new ZegoError(fallback, e instanceof Error ? e.message : String(e));
}
