import { Code, ZegoError } from './codes';
import type { Components, PageData } from './components';
import type { Events } from './events';
import { checkStreamID } from './identifiers';
import type { Media } from './media';
import type { ComponentContext, Wx } from './platform';
import type {
  ZegoPlayerState, ZegoPublisherState, ZegoPublishStats, ZegoPlayStats, ZegoWxEvent, ZegoWxLivePlayer, ZegoWxLivePusher,
  ZegoWxPusherAttributes,
} from './types';

const NO_RTMP = 'this server has no RTMP address, which the components of mini programs need; calls work in browsers only';

type PushTold = Pick<ZegoPublisherState, 'state' | 'errorCode'>;
type PlayTold = Pick<ZegoPlayerState, 'state' | 'errorCode'>;

// Codes of live-pusher's and live-player's bindstatechange, as WeChat documents
// them. Others are informational.

const RETRYING_PUSH: PushTold = { state: 'PUBLISH_REQUESTING', errorCode: Code.PUBLISH_CONNECT };
const RETRYING_PLAY: PlayTold = { state: 'PLAY_REQUESTING', errorCode: Code.PLAY_INTERRUPTED };

const PUSH_CODES: Record<number, PushTold> = {
  1002: { state: 'PUBLISHING', errorCode: 0 }, // handshake done, sending
  1102: RETRYING_PUSH, // the network broke, connecting again
  [-1302]: { state: 'NO_PUBLISH', errorCode: Code.MICROPHONE_FAILED },
  [-1304]: { state: 'NO_PUBLISH', errorCode: Code.MICROPHONE_FAILED }, // the encoder of sound
  [-1306]: { state: 'NO_PUBLISH', errorCode: Code.MICROPHONE_CONSTRAINTS }, // a sampling rate that it cannot do
  [-1307]: { state: 'NO_PUBLISH', errorCode: Code.PUBLISH_GAVE_UP },
};

const PLAY_CODES: Record<number, PlayTold> = {
  2004: { state: 'PLAYING', errorCode: 0 },
  2006: { state: 'NO_PLAY', errorCode: 0 },
  2103: RETRYING_PLAY,
  [-2301]: { state: 'NO_PLAY', errorCode: Code.PLAY_GAVE_UP },
};

/** DNS, connect, handshake, closed by the server, reading or writing: both components say these, and try again. */
const NETWORK_CODES = new Set([3001, 3002, 3003, 3004, 3005]);

/**
 * Pushers and players in a WeChat mini program: its components carry the media,
 * the program forwards their events, and what those mean is told as the
 * tutorial's events.
 */
export class MiniComponents implements Components {
  #pusher: MiniPusher | null = null;
  #configured = false;
  #players = new Map<string, MiniPlayer>();
  #pushes = new Map<string, string>(); // state by streamID
  #plays = new Map<string, string>();
  #stopped = new Set<string>(); // late events of these say nothing

  constructor(private readonly wx: Wx, private readonly media: Media, readonly data: PageData, private readonly events: Events) {}

  createPusher(config?: ZegoWxPusherAttributes): ZegoWxLivePusher | null {
    const pusher = this.getPusherInstance();
    if (!pusher || this.#configured) return pusher;
    this.#configured = true;
    this.data.setPusher(config ?? {});
    return pusher;
  }

  getPusherInstance(): ZegoWxLivePusher | null {
    if (!this.data.bound) return null;
    return (this.#pusher ??= new MiniPusher(this, this.wx.createLivePusherContext?.() ?? {}));
  }

  getPlayerInstance(streamID: string, wxContext?: unknown): ZegoWxLivePlayer | null {
    if (!this.data.bound) return null;
    let player = this.#players.get(streamID);
    if (player) return player;
    player = new MiniPlayer(this, streamID, this.wx.createLivePlayerContext?.(streamID, wxContext) ?? {});
    this.#players.set(streamID, player);
    this.data.addPlayer(streamID);
    return player;
  }

  setPusherAttributes(config: ZegoWxPusherAttributes): void {
    if (this.#pusher) this.data.setPusher(config);
  }

  startPush(streamID: string): never {
    if (!this.media.room) throw new ZegoError(Code.PUBLISH_PARAMETER, 'input param error room no found');
    checkStreamID(streamID);
    this.#stopped.delete(streamID);
    this.data.setPusher({ id: streamID });
    this.#pushIs(streamID, { state: 'PUBLISH_REQUESTING', errorCode: 0 });
    this.#pushIs(streamID, { state: 'NO_PUBLISH', errorCode: Code.PUBLISH_NO_ADDRESS }, NO_RTMP);
    this.#pushes.delete(streamID);
    throw new ZegoError(Code.PUBLISH_NO_ADDRESS, NO_RTMP);
  }

  startPlay(streamID: string): never {
    if (!this.media.room) throw new ZegoError(Code.NOT_LOGGED_IN, 'not logged in');
    checkStreamID(streamID);
    this.#stopped.delete(streamID);
    this.#playIs(streamID, { state: 'PLAY_REQUESTING', errorCode: 0 });
    this.#playIs(streamID, { state: 'NO_PLAY', errorCode: Code.PLAY_NO_ADDRESS }, NO_RTMP);
    this.#plays.delete(streamID);
    throw new ZegoError(Code.PLAY_NO_ADDRESS, NO_RTMP);
  }

  /** Whether there was something to stop. */
  stopPush(streamID: string): boolean {
    const pushed = this.#pushes.has(streamID);
    if (pushed) this.#stopped.add(streamID);
    if (pushed || this.data.pusher.id === streamID) this.data.resetPusher();
    this.#pushIs(streamID, { state: 'NO_PUBLISH', errorCode: 0 });
    this.#pushes.delete(streamID);
    return pushed;
  }

  stopPlay(streamID: string): void {
    if (this.#plays.has(streamID)) this.#stopped.add(streamID);
    this.#players.delete(streamID);
    this.data.removePlayer(streamID);
    this.#playIs(streamID, { state: 'NO_PLAY', errorCode: 0 });
    this.#plays.delete(streamID);
  }

  left(): void {
    for (const streamID of [...this.#pushes.keys()]) this.stopPush(streamID);
    for (const streamID of [...this.#plays.keys()]) this.stopPlay(streamID);
    this.#stopped.clear();
  }

  stopPlayers(): void {
    for (const player of [...this.#players.values()]) player.stop();
  }

  stateChanged(streamID: string, event: ZegoWxEvent): void {
    const code = Number(event?.detail?.code);
    if (this.#stopped.has(streamID)) return;
    const { push, play } = this.#meaning(streamID, code);
    const message = event.detail?.message ?? '';
    if (push) this.#pushIs(streamID, push, push.errorCode ? message : '');
    if (play) this.#playIs(streamID, play, play.errorCode ? message : '');
  }

  #meaning(streamID: string, code: number): { push?: PushTold | undefined; play?: PlayTold | undefined } {
    if (!NETWORK_CODES.has(code)) return { push: PUSH_CODES[code], play: PLAY_CODES[code] };
    return this.#isPushed(streamID) ? { push: RETRYING_PUSH } : { play: RETRYING_PLAY };
  }

  netStatusChanged(streamID: string, event: ZegoWxEvent): void {
    const info = event?.detail?.info;
    if (!info || this.#stopped.has(streamID)) return;
    const { videoBitrate = 0, videoFPS = 0, videoWidth = 0, videoHeight = 0, audioBitrate = 0 } = info;
    const stats = { video: { videoBitrate, videoFPS, videoWidth, videoHeight }, audio: { audioBitrate } };
    if (this.#isPushed(streamID)) this.events.emit('publishQualityUpdate', streamID, stats as ZegoPublishStats);
    else this.events.emit('playQualityUpdate', streamID, stats as ZegoPlayStats);
  }

  volumeChanged(streamID: string, event: ZegoWxEvent): void {
    const soundLevel = event?.detail?.volume;
    if (typeof soundLevel !== 'number' || this.#stopped.has(streamID)) return;
    this.events.emit('soundLevelUpdate', [{ streamID, soundLevel, type: this.#isPushed(streamID) ? 'push' : 'pull' }]);
  }

  #isPushed(streamID: string): boolean {
    return this.#pushes.has(streamID) || this.data.pusher.id === streamID;
  }

  #pushIs(streamID: string, { state, errorCode }: PushTold, extendedData = ''): void {
    if ((this.#pushes.get(streamID) ?? 'NO_PUBLISH') === state && errorCode === 0) return;
    this.#pushes.set(streamID, state);
    this.events.emit('publisherStateUpdate', { streamID, state, errorCode, extendedData });
  }

  #playIs(streamID: string, { state, errorCode }: PlayTold, extendedData = ''): void {
    if ((this.#plays.get(streamID) ?? 'NO_PLAY') === state && errorCode === 0) return;
    this.#plays.set(streamID, state);
    this.events.emit('playerStateUpdate', { streamID, state, errorCode, extendedData });
  }
}

/** Stands for the page's live-pusher. */
class MiniPusher implements ZegoWxLivePusher {
  constructor(private readonly components: MiniComponents, private readonly context: ComponentContext) {}

  start(streamID: string): Promise<void> {
    return quietly(() => this.components.startPush(streamID));
  }

  stop(): void {
    this.context.stop?.();
    const streamID = this.components.data.pusher.id;
    if (streamID) this.components.stopPush(streamID);
    else this.components.data.resetPusher();
  }

  pause(options?: object): void {
    this.context.pause?.(options);
  }

  resume(options?: object): void {
    this.context.resume?.(options);
  }
}

/** Stands for one live-player of the page. */
class MiniPlayer implements ZegoWxLivePlayer {
  constructor(private readonly components: MiniComponents, private readonly streamID: string, private readonly context: ComponentContext) {}

  play(): Promise<void> {
    return quietly(() => this.components.startPlay(this.streamID));
  }

  stop(): void {
    this.context.stop?.();
    this.components.stopPlay(this.streamID);
  }

  pause(options?: object): void {
    this.context.pause?.(options);
  }

  resume(options?: object): void {
    this.context.resume?.(options);
  }

  mute(options?: boolean | object): void {
    this.context.mute?.(typeof options === 'object' ? options : undefined);
  }
}

/** A rejection for those who wait; the state event tells the others. */
export function quietly(start: () => never): Promise<never> {
  const started = new Promise<never>(() => start());
  started.catch(() => {});
  return started;
}
