import { Code, ZegoError, asZegoError } from './codes';
import { Line, Settled, closePeerConnection, newPeerConnection, setLocalDescription } from './peer';
import { MEDIA_TIMEOUT } from './publisher';
import { entriesOf } from './quality';
import type { Room } from './room';
import { askForNACK, originOf, setOpusParameters } from './sdp';
import type { ZegoPlayerState } from './types';
import type { Wire } from './wire';

/** Playing was stopped from this side before it began. */
export class PlayStopped extends ZegoError {}

/** One played stream; its MediaStream stays the same across reconnections. */
export class Played {
  state: ZegoPlayerState['state'] = 'NO_PLAY';
  /** Of PLAYING, ms. */
  since = 0;
  /** The wire on which the server was asked for it. */
  asked: Wire | null = null;
  track: MediaStreamTrack | null = null;
  /** The media connection that track belongs to. */
  bound: RTCPeerConnection | null = null;
  media: MediaStream | null = null;
  muted = false;
  timer: ReturnType<typeof setTimeout> | undefined;
  readonly started = new Settled<MediaStream>();

  constructor(readonly streamID: string, readonly onEnd: () => void, readonly onTrack: () => void) {}
}

/** Everything that a login plays, on one media connection: the server offers, one offer at a time, in order. */
export class Players {
  #room: Room;
  #entries = new Map<string, Played>();
  #pc: RTCPeerConnection | null = null;
  #origin = ''; // of the server's end of it
  #wasConnected = false;
  #flushing = false;
  #stops = new Set<string>();
  #calls = new Line();
  #offers = new Line();

  constructor(room: Room) {
    this.#room = room;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * onEnd is called once, after the last state; onTrack when another track
   * carries the stream.
   */
  play(streamID: string, onEnd: () => void, onTrack: () => void): Promise<MediaStream> {
    if (this.#entries.has(streamID)) {
      return Promise.reject(new ZegoError(Code.ALREADY_PLAYING, `stream ${streamID} is played already`));
    }
    const entry = new Played(streamID, onEnd, onTrack);
    this.#entries.set(streamID, entry);
    this.#watch(entry);
    this.#setState(entry, 'PLAY_REQUESTING', 0, '');
    this.#flush();
    return entry.started.promise;
  }

  stop(streamID: string, error?: ZegoError): void {
    const entry = this.#entries.get(streamID);
    if (!entry) return;
    this.#entries.delete(streamID);
    clearTimeout(entry.timer);
    if (entry.asked) this.#stops.add(streamID);
    this.#setState(entry, 'NO_PLAY', error ? error.errorCode : 0, error ? error.extendedData : '');
    entry.started.reject(error ?? new PlayStopped(Code.STREAM_MISSING, `playing ${streamID} was stopped`));
    entry.onEnd();
    this.#flush();
  }

  stopAll(): void {
    for (const streamID of [...this.#entries.keys()]) this.stop(streamID);
    closePeerConnection(this.#pc);
    this.#pc = null;
  }

  mute(streamID: string, muted: boolean): boolean {
    const entry = this.#entries.get(streamID);
    if (!entry) return false;
    entry.muted = muted;
    if (entry.track) entry.track.enabled = !muted;
    return true;
  }

  suspend(): void {
    for (const entry of this.#entries.values()) {
      clearTimeout(entry.timer);
      this.#setState(entry, 'PLAY_REQUESTING', Code.RETRYING, 'the connection was lost');
    }
  }

  /** The server lost the media connection, and with it this stream. */
  restart(streamID: string, extendedData: string): void {
    const entry = this.#entries.get(streamID);
    if (!entry) return;
    entry.asked = null;
    entry.bound = null;
    this.#watch(entry);
    this.#setState(entry, 'PLAY_REQUESTING', Code.PLAY_INTERRUPTED, extendedData);
    this.#flush();
  }

  /** A new wire stands: the server makes the media connection anew. */
  resume(): void {
    closePeerConnection(this.#pc);
    this.#pc = null;
    this.#stops.clear();
    for (const entry of this.#entries.values()) this.#watch(entry);
    this.#flush();
  }

  #watch(entry: Played): void {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => {
      this.stop(entry.streamID, new ZegoError(Code.PLAY_CONNECT, 'no media connection'));
    }, MEDIA_TIMEOUT);
  }

  /** Asks the server for all that changed in this turn with one call. */
  #flush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#calls.add(async () => {
      this.#flushing = false;
      const wire = this.#room.wire;
      if (!wire) return;
      const stops = [...this.#stops];
      this.#stops.clear();
      if (stops.length > 0) await wire.call('stopPlaying', { streamIDs: stops }).catch(() => {});
      const entries = [...this.#entries.values()].filter((e) => e.asked !== wire);
      if (entries.length > 0) await this.#ask(wire, entries);
    });
  }

  async #ask(wire: Wire, entries: Played[]): Promise<void> {
    const stands = (entry: Played) => this.#entries.get(entry.streamID) === entry;
    for (const entry of entries) entry.asked = wire;
    try {
      await wire.call('startPlaying', { streamIDs: entries.map((e) => e.streamID) });
    } catch (e) {
      if (wire !== this.#room.wire) return; // asked again on the next wire
      const [first, ...others] = entries;
      if (others.length > 0) {
        // One bad stream must not take the others along.
        for (const entry of entries) if (stands(entry)) await this.#ask(wire, [entry]);
      } else if (first && stands(first)) {
        const error = asZegoError(e, Code.SERVER_ERROR);
        if (error.errorCode === Code.ALREADY_PLAYING) return;
        first.asked = null; // the server does not hold it
        this.stop(first.streamID, error);
      }
    }
  }

  /** Takes one offer of the server: the whole list of what this login plays. */
  offer(wire: Wire, { sdp, streams }: { sdp: string; streams?: Record<string, string> }): void {
    this.#offers.add(async () => {
      if (wire !== this.#room.wire) return;
      const origin = originOf(sdp);
      const pc = this.#pc && origin === this.#origin ? this.#pc : this.#connect(origin);
      const current = () => pc === this.#pc && wire === this.#room.wire;
      try {
        await pc.setRemoteDescription({ type: 'offer', sdp });
        if (!current()) return;
        const answer = await pc.createAnswer();
        const text = setOpusParameters(askForNACK(answer.sdp!), { stereo: 1, useinbandfec: 1 });
        if (!current()) return;
        await setLocalDescription(pc, answer, text);
        if (!current()) return;
        this.#bind(pc, streams || {});
        await wire.call('answer', { sdp: text });
        if (current() && pc.connectionState === 'connected') this.#playing();
      } catch (e) {
        if (!current()) return;
        for (const entry of [...this.#entries.values()]) {
          if (entry.state !== 'PLAYING') this.stop(entry.streamID, asZegoError(e, Code.PLAY_SDP));
        }
      }
    });
  }

  #connect(origin: string): RTCPeerConnection {
    closePeerConnection(this.#pc);
    const pc = (this.#pc = newPeerConnection(this.#room.turnServers));
    this.#origin = origin;
    this.#wasConnected = false;
    pc.onconnectionstatechange = () => {
      if (pc !== this.#pc) return;
      if (pc.connectionState === 'connected') {
        this.#wasConnected = true;
        if (pc.signalingState === 'stable') this.#playing();
      } else if (pc.connectionState === 'failed' && this.#wasConnected) {
        this.#room.recover();
      } else if (pc.connectionState === 'failed') {
        for (const streamID of [...this.#entries.keys()]) {
          this.stop(streamID, new ZegoError(Code.PLAY_CONNECT, 'the media connection failed'));
        }
      }
    };
    return pc;
  }

  #bind(pc: RTCPeerConnection, streams: Record<string, string>): void {
    const tracks = new Map<string | undefined, MediaStreamTrack>();
    for (const transceiver of pc.getTransceivers()) tracks.set(streams[transceiver.mid ?? ''], transceiver.receiver.track);
    for (const entry of this.#entries.values()) {
      const track = tracks.get(entry.streamID);
      entry.bound = track ? pc : null;
      if (!track || track === entry.track) continue;
      track.enabled = !entry.muted;
      if (!entry.media) {
        entry.media = new MediaStream([track]);
      } else {
        for (const old of entry.media.getAudioTracks()) entry.media.removeTrack(old);
        entry.media.addTrack(track);
      }
      const replaced = entry.track !== null;
      entry.track = track;
      if (!replaced) continue;
      entry.onTrack();
      this.#room.events.emit('playerAudioTrackUpdate', entry.streamID, track);
    }
  }

  #playing(): void {
    for (const entry of [...this.#entries.values()]) {
      if (entry.bound !== this.#pc || entry.asked !== this.#room.wire || entry.state === 'PLAYING') continue;
      clearTimeout(entry.timer);
      this.#setState(entry, 'PLAYING', 0, '');
      entry.started.resolve(entry.media!);
    }
  }

  #setState(entry: Played, state: ZegoPlayerState['state'], errorCode: number, extendedData: string): void {
    if (entry.state === state && errorCode === 0) return;
    entry.state = state;
    if (state === 'PLAYING') entry.since = Date.now();
    this.#room.events.emit('playerStateUpdate', { streamID: entry.streamID, state, errorCode, extendedData });
  }

  /** The report of the connection and, for each playing stream, its inbound entry. */
  async report(): Promise<{ report: RTCStatsReport; streams: { entry: Played; s: Record<string, any> }[] } | null> {
    if (!this.#pc || this.#entries.size === 0) return null;
    const report = await this.#pc.getStats();
    const byTrack = new Map<string, Record<string, any>>();
    for (const s of entriesOf(report)) if (s.type === 'inbound-rtp' && s.kind === 'audio') byTrack.set(s.trackIdentifier, s);
    const streams = [];
    for (const entry of this.#entries.values()) {
      const s = entry.track && byTrack.get(entry.track.id);
      if (s && entry.state === 'PLAYING') streams.push({ entry, s });
    }
    return { report, streams };
  }
}
