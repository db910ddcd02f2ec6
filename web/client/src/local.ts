import { Code, ZegoError } from './codes';
import type { Media } from './media';
import { ZegoLocalStream, mediaOf, openMicrophone, stopTracks } from './microphone';
import type { ZegoMicrophone, ZegoStreamOptions } from './types';

/** What createStream opened in a browser, and how: so that it can be closed, or go on with another microphone. */
export class LocalStreams {
  #microphones = new Map<MediaStream, ZegoMicrophone>();
  #bitrates = new WeakMap<MediaStream, number>();
  #ended = false;

  constructor(private readonly media: Media) {}

  /** kbit/s that its creator asked for. */
  bitrateOf(stream: MediaStream): number | undefined {
    return this.#bitrates.get(stream);
  }

  /** Opens the microphone, or takes the sound of custom.source. */
  async create(options: ZegoStreamOptions): Promise<MediaStream> {
    const custom = options.custom?.source ?? options.custom?.audio?.source;
    if (custom) {
      const source = 'captureStream' in custom ? (custom as any).captureStream() : custom;
      return new MediaStream((source as MediaStream).getAudioTracks());
    }
    if (options.screen) throw new ZegoError(Code.BAD_PARAMETER, 'this service carries sound only: no screen');
    const { audio, audioBitrate = options.audioBitrate, audioInput, channelCount, AEC, ANS, AGC } = options.camera ?? {};
    if (audio === false) throw new ZegoError(Code.BAD_PARAMETER, 'this service carries sound only: audio cannot be off');
    const microphone = defined({ audioInput, channelCount, AEC, ANS, AGC, ...(typeof audio === 'object' ? asMicrophone(audio) : {}) });
    const stream = await openMicrophone(microphone);
    if (this.#ended) {
      stopTracks(stream);
      throw new ZegoError(Code.NOT_LOGGED_IN, 'the engine is destroyed');
    }
    this.#microphones.set(stream, microphone);
    if (audioBitrate) this.#bitrates.set(stream, audioBitrate);
    return stream;
  }

  destroy(stream: MediaStream | ZegoLocalStream): void {
    const media = mediaOf(stream);
    if (!media) return;
    this.#microphones.delete(media);
    stopTracks(media);
  }

  /** Switches a stream to another microphone, also while it is published. */
  async use(stream: MediaStream | ZegoLocalStream, deviceID: string): Promise<void> {
    const media = mediaOf(stream);
    const microphone = media && this.#microphones.get(media);
    if (!media || !microphone) throw new ZegoError(Code.BAD_STREAM, 'this is no microphone of createStream');
    const opened = await openMicrophone({ ...microphone, audioInput: deviceID });
    if (!this.#microphones.has(media)) { // destroyed meanwhile
      stopTracks(opened);
      return;
    }
    this.#microphones.set(media, { ...microphone, audioInput: deviceID });
    const track = opened.getAudioTracks()[0]!;
    for (const old of media.getAudioTracks()) {
      track.enabled = old.enabled;
      media.removeTrack(old);
      old.stop();
    }
    media.addTrack(track);
    await this.media.trackReplaced(media, track);
  }

  /** Closes all of them; what is still being opened is closed when it comes. */
  end(): void {
    this.#ended = true;
    for (const stream of [...this.#microphones.keys()]) this.destroy(stream);
  }
}

/** {input, AEC, ANS, AGC, channelCount} of createZegoStream. */
function asMicrophone({ input, ...rest }: Omit<ZegoMicrophone, 'audioInput'> & { input?: string }): ZegoMicrophone {
  return input ? { ...rest, audioInput: input } : rest;
}

/** Without the members that are undefined. */
function defined<T extends object>(o: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined)) as any;
}
