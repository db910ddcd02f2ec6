import { Code, ZegoError } from './codes';
import type { Components, PageData } from './components';
import { checkStreamID } from './identifiers';
import type { Media } from './media';
import { openMicrophone, stopTracks } from './microphone';
import { PlayStopped } from './players';
import type { ZegoPublishOption, ZegoWxLivePlayer, ZegoWxLivePusher, ZegoWxPusherAttributes } from './types';

/** Pushers and players in a browser. They see their media themselves: forwarded events say nothing new. */
export class BrowserComponents implements Components {
  #pusher: Pusher | null = null;
  #configured = false;
  #players = new Map<string, Player>();

  constructor(private readonly media: Media, private readonly data: PageData) {}

  createPusher(config?: ZegoWxPusherAttributes): ZegoWxLivePusher | null {
    const pusher = this.getPusherInstance();
    if (!pusher || this.#configured) return pusher;
    this.#configured = true;
    this.data.setPusher(config ?? {});
    return pusher;
  }

  getPusherInstance(): ZegoWxLivePusher | null {
    if (!this.data.bound) return null;
    return (this.#pusher ??= new Pusher(this.media, this.data));
  }

  /** A browser has no component that must be there first: a player is had before initContext, too. */
  getPlayerInstance(streamID: string): ZegoWxLivePlayer {
    let player = this.#players.get(streamID);
    if (player) return player;
    player = new Player(this.media, streamID, () => {
      if (this.#players.get(streamID) !== player) return;
      this.#players.delete(streamID);
      this.data.removePlayer(streamID);
    });
    this.#players.set(streamID, player);
    this.data.addPlayer(streamID);
    return player;
  }

  setPusherAttributes(config: ZegoWxPusherAttributes): void {
    if (this.#pusher) this.data.setPusher(config);
  }

  stateChanged(): void {}
  netStatusChanged(): void {}
  volumeChanged(): void {}
  left(): void {}

  stopPlayers(): void {
    for (const player of [...this.#players.values()]) player.stop();
  }
}

/** Opens the microphone and publishes it. */
class Pusher implements ZegoWxLivePusher {
  #stream: MediaStream | null = null;
  #streamID = '';

  constructor(private readonly media: Media, private readonly data: PageData) {}

  /**
   * Publishes the microphone as streamID; resolves when it is published.
   * A stop before that resolves too.
   */
  start(streamID: string, options?: ZegoPublishOption): Promise<void> {
    let started: Promise<void>;
    try {
      started = this.#start(streamID, options);
    } catch (e) {
      started = Promise.reject(e);
    }
    started.catch(() => {}); // publisherStateUpdate tells those who do not wait
    return started;
  }

  #start(streamID: string, options: ZegoPublishOption = {}): Promise<void> {
    const room = this.media.room;
    if (!room) throw new ZegoError(Code.PUBLISH_PARAMETER, 'input param error room no found');
    checkStreamID(streamID);
    if (this.#streamID || room.publishers.has(streamID)) {
      throw new ZegoError(Code.ALREADY_PUBLISHING, `stream ${this.#streamID || streamID} is published already`);
    }
    this.#streamID = streamID;
    this.data.setPusher({ id: streamID });
    const { enableMic, enableAec, enableAns, enableAgc, audioInput, channelCount } = this.data.pusher;
    let stopped = false;
    const capture = async () => {
      const stream = await openMicrophone({
        AEC: enableAec !== false, ANS: enableAns !== false, AGC: enableAgc !== false, channelCount: channelCount ?? 1,
        ...(audioInput ? { audioInput } : {}),
      });
      if (stopped) stopTracks(stream);
      else this.#stream = stream;
      return stream;
    };
    return this.media.publish(streamID, capture, options, enableMic === false, () => {
      stopped = true;
      if (this.#stream) stopTracks(this.#stream);
      this.#stream = null;
      this.#streamID = '';
      this.data.resetPusher();
    }).started;
  }

  /** Stops publishing and lets go of the microphone. */
  stop(): void {
    if (this.#streamID) this.media.stopPublishing(this.#streamID);
  }

  pause(): void {
    this.#mute(true);
  }

  resume(): void {
    this.#mute(false);
  }

  #mute(muted: boolean): void {
    if (this.#streamID) this.media.mutePublished(muted, this.#streamID);
  }
}

/** Plays one stream through a hidden audio element. */
class Player implements ZegoWxLivePlayer {
  #element: HTMLAudioElement | null = null;
  #media: MediaStream | null = null;
  #playing: Promise<void> | null = null;
  #muted = false;

  /** onStop is called by stop. */
  constructor(private readonly media: Media, private readonly streamID: string, private readonly onStop: () => void) {}

  /** Resolves when the sound plays; a stop before that resolves too. */
  play(): Promise<void> {
    if (this.#playing) return this.#playing;
    const playing = this.#start();
    this.#playing = playing;
    playing.catch(() => { // playerStateUpdate tells those who do not wait
      if (this.#playing === playing) this.#playing = null;
    });
    return playing;
  }

  async #start(): Promise<void> {
    let stopped = false;
    const media = await this.media.play(this.streamID, () => {
      stopped = true;
      this.#release();
    }, () => this.#attach()).catch((e) => {
      if (e instanceof PlayStopped) return null;
      throw e;
    });
    if (!media || stopped) return;
    if (this.#muted) this.media.mutePlayed(this.streamID, true);
    const element = document.createElement('audio');
    this.#element = element;
    element.autoplay = true;
    element.hidden = true;
    element.dataset.streamId = this.streamID;
    this.#media = media;
    this.#attach();
    (document.body || document.documentElement).append(element);
    await untilPlaying(element, () => stopped);
  }

  /** Not every browser follows a MediaStream whose track is replaced. */
  #attach(): void {
    if (!this.#element) return;
    this.#element.srcObject = null;
    this.#element.srcObject = this.#media;
  }

  stop(): void {
    this.media.stopPlaying(this.streamID);
    this.#release();
    this.onStop();
  }

  pause(): void {
    this.#element?.pause();
  }

  resume(): void {
    this.#element?.play().catch(() => {});
  }

  /** Without an argument it toggles, as in mini programs. */
  mute(muted?: boolean | object): void {
    this.#muted = typeof muted === 'boolean' ? muted : !this.#muted;
    this.media.mutePlayed(this.streamID, this.#muted);
  }

  #release(): void {
    this.#playing = null;
    if (!this.#element) return;
    this.#element.srcObject = null;
    this.#element.remove();
    this.#element = null;
    this.#media = null;
  }
}

/** A browser that wants a gesture first gets to play at the next one. */
async function untilPlaying(element: HTMLAudioElement, stopped: () => boolean): Promise<void> {
  for (;;) {
    try {
      await element.play();
      return;
    } catch (e) {
      if (stopped() || !element.srcObject) return;
      const { name, message } = e as Error;
      if (name !== 'NotAllowedError') throw new ZegoError(Code.PLAY_CONNECT, message);
      await new Promise<unknown>((resolve) => {
        for (const gesture of ['pointerdown', 'keydown']) addEventListener(gesture, resolve, { once: true, capture: true });
      });
    }
  }
}
