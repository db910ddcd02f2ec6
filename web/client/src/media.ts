import { Code, ZegoError } from './codes';
import type { Events } from './events';
import { Figures } from './figures';
import { checkStreamID } from './identifiers';
import { mediaOf } from './microphone';
import { Publisher } from './publisher';
import type { Room } from './room';
import type { ZegoPublishOption } from './types';

/** What one engine publishes and plays, in the room where it is. */
export class Media {
  /** null when not logged in */
  room: Room | null = null;
  readonly figures: Figures;

  constructor(events: Events) {
    this.figures = new Figures(events, () => this.room);
  }

  /** The room was left, or never entered. */
  left(room: Room): void {
    if (this.room !== room) return;
    this.room = null;
    this.figures.rest();
  }

  /** Throws when not logged in and when the streamID is out of rule or published already. */
  publish(streamID: string, capture: () => Promise<MediaStream>, options: ZegoPublishOption, muted: boolean, onEnd: () => void): Publisher {
    const room = this.room;
    if (!room) throw new ZegoError(Code.NOT_LOGGED_IN, 'not logged in');
    checkStreamID(streamID);
    if (room.publishers.has(streamID)) throw new ZegoError(Code.ALREADY_PUBLISHING, `stream ${streamID} is published already`);
    const publisher = new Publisher(room, streamID, capture, options, () => {
      this.figures.forget('push', streamID);
      onEnd();
    });
    publisher.muted = muted;
    room.publishers.set(streamID, publisher);
    this.figures.watchQuality();
    publisher.start();
    return publisher;
  }

  stopPublishing(streamID: string): boolean {
    const publisher = this.room?.publishers.get(streamID);
    publisher?.stop();
    return publisher !== undefined;
  }

  /** which is a streamID or a local stream; without it everything is muted. */
  mutePublished(muted: boolean, which?: unknown): boolean {
    let found = false;
    for (const publisher of this.room?.publishers.values() ?? []) {
      if (which !== undefined && which !== publisher.streamID && mediaOf(which) !== publisher.stream) continue;
      publisher.mute(muted);
      found = true;
    }
    return found;
  }

  /** The local stream has another track now. */
  async trackReplaced(media: MediaStream, track: MediaStreamTrack): Promise<void> {
    for (const publisher of this.room?.publishers.values() ?? []) if (publisher.stream === media) await publisher.trackReplaced(track);
  }

  /** onEnd is called once, after the last state; onTrack when another track carries the stream. */
  play(streamID: string, onEnd = () => {}, onTrack = () => {}): Promise<MediaStream> {
    const room = this.room;
    if (!room) return Promise.reject(new ZegoError(Code.NOT_LOGGED_IN, 'not logged in'));
    try {
      checkStreamID(streamID);
    } catch (e) {
      return Promise.reject(e);
    }
    const started = room.players.play(streamID, () => {
      this.figures.forget('pull', streamID);
      onEnd();
    }, onTrack);
    this.figures.watchQuality();
    return started;
  }

  stopPlaying(streamID: string): void {
    this.room?.players.stop(streamID);
  }

  mutePlayed(streamID: string, muted: boolean): boolean {
    return this.room ? this.room.players.mute(streamID, muted) : false;
  }
}
