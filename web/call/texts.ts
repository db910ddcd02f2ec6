// What the codes of the room service mean to somebody in a call.

const TEXTS: Record<number, string> = {
  1000002: 'You are not in a room.',
  1000014: 'The stream name is too long.',
  1000016: 'The stream name has a character that is not allowed.',
  1000017: 'The connection was lost.',
  1001004: 'The token belongs to another app than this service.',
  1002001: 'You are in a room already.',
  1002005: 'Your name is missing.',
  1002006: 'Your name has a character that is not allowed. Use letters, digits and -\u00a0_\u00a0. without spaces.',
  1002007: 'Your name is too long (64 bytes at most).',
  1002010: 'Your display name is too long.',
  1002011: 'The room is missing.',
  1002012: 'The room has a character that is not allowed. Use letters, digits and -\u00a0_\u00a0. without spaces.',
  1002013: 'The room is too long (128 bytes at most).',
  1002014: 'The room is gone.',
  1002031: 'The service did not answer the login in time.',
  1002033: 'The token is not valid for this room and name.',
  1002034: 'The room is full.',
  1002050: 'You joined from somewhere else with the same name, so this page left the room.',
  1002053: 'The connection could not be made again.',
  1002055: 'You were removed from the room.',
  1002067: 'The token is missing.',
  1002086: 'You are in the room from somewhere else with the same name.',
  1003025: 'You may not speak in this room.',
  1003028: 'Somebody else publishes under the same stream name.',
  1004002: 'That stream has ended.',
  1100001: 'Something is missing: room, name and token are needed.',
  1100002: 'The service did not answer in time.',
  1100003: 'The service cannot be reached.',
  1102001: 'The connection was silent for too long.',
  1102016: 'The token is not readable. Was it copied whole?',
  1102018: 'The token has expired. Ask for a new one.',
  1102020: 'The token was refused.',
  1103001: 'The microphone could not be published.',
  1103003: 'Your sound cannot reach the service: its media port (UDP) may be blocked.',
  1103019: 'The token does not allow you to speak.',
  1103053: 'The browser gives the microphone only to pages served by https or from localhost.',
  1103056: 'You are speaking already.',
  1103061: 'The microphone could not be opened. Is one connected?',
  1103064: 'The microphone is not allowed. Allow it in the browser, then choose it below.',
  1103065: 'The microphone cannot be opened: another program may be using it.',
  1103066: 'The microphone does not offer what is needed.',
  1104021: 'Sound from the service does not arrive: its media port (UDP) may be blocked.',
};

/** A sentence for an error, with its code. */
export function explain({ errorCode, extendedData }: { errorCode: number; extendedData?: string }): string {
  const text = TEXTS[errorCode] || `The service refused: ${extendedData || 'no reason given'}.`;
  return errorCode ? `${text} (code ${errorCode})` : text;
}
