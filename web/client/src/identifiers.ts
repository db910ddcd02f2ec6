// The rules of IDs and addresses. Mini programs have neither URL nor TextEncoder.

import { Code, ZegoError } from './codes';
import type { ZegoUser } from './types';

const ROOM_ID = /^[0-9A-Za-z~!@#$^&*()_+=\-;',.<>]+$/;
const USER_ID = /^[0-9A-Za-z~!@#$^&*()_+=\-;',.]+$/;
const STREAM_ID = /^[0-9A-Za-z_-]+$/;
const ADDRESS = /^(wss?|https?):\/\/([^/?#\s]+)(\/[^?#\s]*)?(\?[^#\s]*)?(?:#.*)?$/i;

/** Bytes of a text in UTF-8. */
function byteLength(text: string): number {
  let n = 0;
  for (const character of text) {
    const point = character.codePointAt(0)!;
    n += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return n;
}

/** codes are for empty, too long, and a bad character. */
function checkID(id: unknown, pattern: RegExp, limit: number, name: string, codes: [number, number, number]): void {
  if (typeof id !== 'string' || id === '') throw new ZegoError(codes[0], `${name} is empty`);
  if (byteLength(id) > limit) throw new ZegoError(codes[1], `${name} is longer than ${limit} bytes`);
  if (!pattern.test(id)) throw new ZegoError(codes[2], `${name} has a character that is not allowed`);
}

export function checkLogin(roomID: unknown, token: unknown, user: ZegoUser | undefined): void {
  checkID(roomID, ROOM_ID, 128, 'roomID', [Code.ROOM_ID_EMPTY, Code.ROOM_ID_LONG, Code.ROOM_ID_BAD]);
  if (typeof token !== 'string' || token === '') throw new ZegoError(Code.BAD_PARAMETER, 'token is required');
  checkID(user?.userID, USER_ID, 64, 'userID', [Code.USER_ID_EMPTY, Code.USER_ID_LONG, Code.USER_ID_BAD]);
  if (user?.userName && byteLength(String(user.userName)) > 256) {
    throw new ZegoError(Code.USER_NAME_LONG, 'userName is longer than 256 bytes');
  }
}

export function checkStreamID(streamID: unknown): void {
  checkID(streamID, STREAM_ID, 256, 'streamID', [Code.STREAM_ID_EMPTY, Code.STREAM_ID_LONG, Code.STREAM_ID_BAD]);
}

/**
 * Turns what programs give as server into WebSocket addresses: ws, wss, http or
 * https, with or without a path; a path alone is one of the page's own origin.
 */
export function socketAddresses(server: string | string[]): string[] {
  const list = (Array.isArray(server) ? server : [server]).map((given) => {
    let address = String(given);
    if (/^\/(?!\/)/.test(address) && typeof location === 'object') address = location.origin + address;
    const parts = ADDRESS.exec(address);
    if (!parts) throw new ZegoError(Code.BAD_PARAMETER, `server ${JSON.stringify(given)} is no address of ws, wss, http or https`);
    const [, scheme, host, path = '/', query = ''] = parts;
    const secure = /^(wss|https)$/i.test(scheme!);
    return `${secure ? 'wss' : 'ws'}://${host}${path === '/' ? '/ws' : path}${query}`;
  });
  if (list.length === 0) throw new ZegoError(Code.BAD_PARAMETER, 'no server is given');
  return list;
}
