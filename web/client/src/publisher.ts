import { Code, ZegoError, asZegoError } from './codes';
import { Settled, closePeerConnection, newPeerConnection, setLocalDescription } from './peer';
import type { Room } from './room';
import { askForNACK, setOpusParameters } from './sdp';
import type { ZegoPublishOption, ZegoPublisherState } from './types';
import type { Wire } from './wire';

export const MEDIA_TIMEOUT = 20_000; // ms for a media connection to come up

/** One published stream, one media connection. It lives from the start to the stop, across reconnections. */
export class Publisher {
  readonly streamID: string;
  state: ZegoPublisherState['state'] = 'NO_PUBLISH';
  /** Of PUBLISHING, ms. */
  since = 0;
  muted = false;
  extraInfo: string;
  stream: MediaStream | null = null;
  /** Resolves with the first PUBLISHING or a stop, rejects with a failure. */
  readonly started: Promise<void>;
  #room: Room;
  #capture: () => Promise<MediaStream>;
  #options: ZegoPublishOption;
  #onEnd: () => void;
  #pc: RTCPeerConnection | null = null;
  #sender: RTCRtpSender | null = null;
  #round = 0;
  #ended = false;
  #wasConnected = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #settled = new Settled<void>();

  /** capture says where the sound comes from; onEnd is called once, after the last state. */
  constructor(room: Room, streamID: string, capture: () => Promise<MediaStream>, options: ZegoPublishOption, onEnd: () => void) {
    this.#room = room;
    this.streamID = streamID;
    this.#capture = capture;
    this.#options = options;
    this.#onEnd = onEnd;
    this.extraInfo = options.extraInfo || '';
    this.started = this.#settled.promise;
  }

  async start(): Promise<void> {
    this.#setState('PUBLISH_REQUESTING', 0, '');
    if (this.#ended) return; // a callback has stopped it
    try {
      const stream = await this.#capture();
      if (this.#ended) return;
      if (!stream || stream.getAudioTracks().length === 0) throw new ZegoError(Code.BAD_STREAM, 'the stream has no audio');
      this.stream = stream;
      this.mute(this.muted);
    } catch (e) {
      this.fail(asZegoError(e, Code.MICROPHONE_FAILED));
      return;
    }
    if (this.#room.wire) this.negotiate();
  }

  /** Offers the stream to the server, on a connection of its own. Replaces an earlier one. */
  negotiate(): void {
    const stream = this.stream;
    const wire = this.#room.wire;
    if (!stream || !wire || this.#ended) return;
    const round = ++this.#round;
    const current = () => round === this.#round && wire === this.#room.wire;
    this.#room.publishing.add(async () => {
      if (!current()) return;
      try {
        await this.#offer(stream, wire, current);
      } catch (e) {
        if (current()) this.fail(asZegoError(e, Code.PUBLISH_SDP));
      }
    });
  }

  async #offer(stream: MediaStream, wire: Wire, current: () => boolean): Promise<void> {
    closePeerConnection(this.#pc);
    const pc = (this.#pc = newPeerConnection(this.#room.turnServers));
    this.#wasConnected = false;
    pc.onconnectionstatechange = () => this.#connectionChanged(pc);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.fail(new ZegoError(Code.PUBLISH_CONNECT, 'no media connection')), MEDIA_TIMEOUT);
    const track = stream.getAudioTracks()[0]!;
    this.#sender = pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] }).sender;
    const stereo = track.getSettings?.().channelCount === 2;
    const offer = await pc.createOffer();
    const sdp = setOpusParameters(askForNACK(offer.sdp!), { useinbandfec: 1, 'sprop-stereo': stereo ? 1 : null });
    if (!current()) return;
    await setLocalDescription(pc, offer, sdp);
    if (!current()) return;
    const answer = await wire.call('startPublishing', { streamID: this.streamID, extraInfo: this.extraInfo, sdp });
    if (!current()) return;
    // What the answer says of Opus is what the browser's encoder follows.
    await pc.setRemoteDescription({
      type: 'answer',
      sdp: setOpusParameters(askForNACK(answer.sdp), {
        useinbandfec: 1,
        stereo: stereo ? 1 : 0,
        usedtx: this.#options.enableDTX ? 1 : 0,
        maxaveragebitrate: this.#options.audioBitrate ? this.#options.audioBitrate * 1000 : null,
      }),
    });
  }

  #connectionChanged(pc: RTCPeerConnection): void {
    if (pc !== this.#pc || !this.#room.wire) return;
    if (pc.connectionState === 'connected') {
      clearTimeout(this.#timer);
      this.#wasConnected = true;
      this.#setState('PUBLISHING', 0, '');
      this.#settled.resolve();
    } else if (pc.connectionState === 'failed') {
      if (this.#wasConnected) this.#room.recover();
      else this.fail(new ZegoError(Code.PUBLISH_CONNECT, 'the media connection failed'));
    }
  }

  /** The server lost the media and waits for a new offer. */
  restart(errorCode: number, extendedData: string): void {
    this.#setState('PUBLISH_REQUESTING', errorCode, extendedData);
    this.negotiate();
  }

  /** The room's connection was lost; the media may still flow. */
  suspend(): void {
    clearTimeout(this.#timer);
    this.#setState('PUBLISH_REQUESTING', Code.PUBLISH_SOCKET, 'the connection was lost');
  }

  mute(muted: boolean): void {
    this.muted = muted;
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  /** The stream has another track now: it is sent without a new negotiation. */
  async trackReplaced(track: MediaStreamTrack): Promise<void> {
    track.enabled = !this.muted;
    await this.#sender?.replaceTrack(track);
  }

  stop(): void {
    this.#end(0, '');
    this.#settled.resolve();
  }

  fail(error: ZegoError): void {
    if (this.#ended) return;
    this.#end(error.errorCode, error.extendedData);
    this.#settled.reject(error);
  }

  #end(errorCode: number, extendedData: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const asked = this.#round > 0;
    this.#round++;
    clearTimeout(this.#timer);
    closePeerConnection(this.#pc);
    this.#pc = null;
    this.#sender = null;
    this.#room.publishers.delete(this.streamID);
    // The server may hold it even after a failure, when only the media failed.
    if (asked) this.#room.tell(this.#room.publishing, 'stopPublishing', { streamID: this.streamID });
    this.#setState('NO_PUBLISH', errorCode, extendedData);
    this.#onEnd();
  }

  #setState(state: ZegoPublisherState['state'], errorCode: number, extendedData: string): void {
    if (this.state === state && errorCode === 0) return;
    this.state = state;
    if (state === 'PUBLISHING') this.since = Date.now();
    this.#room.events.emit('publisherStateUpdate', { streamID: this.streamID, state, errorCode, extendedData });
  }

  async report(): Promise<RTCStatsReport | null> {
    return this.#pc && this.state === 'PUBLISHING' ? this.#pc.getStats() : null;
  }
}
