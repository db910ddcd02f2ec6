// Media connections, as far as publishing and playing have them in common.

import type { ZegoTurnServer } from './types';

export function newPeerConnection(turnServers: ZegoTurnServer[]): RTCPeerConnection {
  const iceServers = turnServers.map(({ url, ...rest }) => ({ urls: url, ...rest }));
  return new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' });
}

export function closePeerConnection(pc: RTCPeerConnection | null): void {
  if (!pc) return;
  pc.onconnectionstatechange = null;
  pc.close();
}

/**
 * Applies a changed local description. What a browser lets pages change
 * differs between versions; one that refuses gets its own text, and the
 * changed one still goes to the server.
 */
export async function setLocalDescription(pc: RTCPeerConnection, original: RTCSessionDescriptionInit, sdp: string): Promise<void> {
  try {
    await pc.setLocalDescription({ type: original.type, sdp });
  } catch {
    await pc.setLocalDescription(original);
  }
}

/** Runs asynchronous work one after the other, whatever becomes of each. */
export class Line {
  #tail: Promise<unknown> = Promise.resolve();

  add<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => {});
    return result;
  }
}

/** A promise with its ends in hand. Nobody has to wait for it: events tell the same. */
export class Settled<T> {
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;
  readonly promise: Promise<T>;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => {});
  }
}
