import { Code, ZegoError } from './codes';

const MIXING = 'mixing is a capture of the daemon: POST /v1/captures with republish';
const FRAMES = 'take the MediaStream of startPlayingStream to WebAudio';

/**
 * What ZEGO's SDKs can do and this service cannot. Programs written for them
 * load and run; what would have been done without being seen is accepted, what
 * is asked for in vain rejects and says so.
 */
export class Absent {
  // Settings of ZEGO's own cloud, which have nothing to set here.

  static use(module: unknown): void {
    void module;
  }

  static setGeoFence(type: number, list: number[]): void {
    void [type, list];
  }

  static setEngineOptions(options: object): void {
    void options;
  }

  static setCloudProxyConfig(list: object[], token: string, enable: boolean): void {
    void [list, token, enable];
  }

  static setLocalProxyConfig(config: object, enable: boolean): void {
    void [config, enable];
  }

  static presetLogConfig(config: object): void {
    void config;
  }

  setLogConfig(config: object): boolean {
    void config;
    return true;
  }

  setDebugVerbose(on: boolean): void {
    void on;
  }

  uploadLog(): void {}

  /** false: one engine, one room. */
  enableMultiRoom(on: boolean): false {
    void on;
    return false;
  }

  // Mixing, relays, frames, data beside the sound.

  startMixerTask(task: object): Promise<never> {
    return absent(Code.MIX_START, MIXING, task);
  }

  stopMixerTask(taskID: string): Promise<never> {
    return absent(Code.MIX_STOP, MIXING, taskID);
  }

  setMixerTaskConfig(config: object): Promise<never> {
    return absent(Code.BAD_PARAMETER, MIXING, config);
  }

  startAutoMixerTask(task: object): Promise<never> {
    return absent(Code.MIX_START, MIXING, task);
  }

  stopAutoMixerTask(task: object): Promise<never> {
    return absent(Code.MIX_STOP, MIXING, task);
  }

  addPublishCdnUrl(streamID: string, url: string): Promise<never> {
    return absent(Code.RELAY_FAILED, 'this service relays to no CDN', streamID, url);
  }

  removePublishCdnUrl(streamID: string, url: string): Promise<never> {
    return absent(Code.RELAY_FAILED, 'this service relays to no CDN', streamID, url);
  }

  setAudioFrameCallback(streamID: string, callback: unknown, options?: object): Promise<never> {
    return absent(Code.BAD_PARAMETER, FRAMES, streamID, callback, options);
  }

  setCaptureAudioFrameCallback(stream: unknown, callback: unknown, options?: object): Promise<never> {
    return absent(Code.BAD_PARAMETER, FRAMES, stream, callback, options);
  }

  sendTransparentMessage(roomID: string, message: object): Promise<never> {
    return absent(Code.BAD_PARAMETER, 'send it as a custom command', roomID, message);
  }

  callExperimentalAPI(params: unknown): Promise<never> {
    return absent(Code.BAD_PARAMETER, 'there are no experiments here', params);
  }

  /** false: sound only, no video to carry it. */
  sendSEI(streamID: string, data: Uint8Array): false {
    void [streamID, data];
    return false;
  }

  /** The next address of a stream: there is none. */
  getNextUrl(streamID: string): '' {
    void streamID;
    return '';
  }

  /** Nothing to mute: sound only. */
  muteAllPlayVideoStreams(mute: boolean): Promise<boolean> {
    void mute;
    return Promise.resolve(true);
  }
}

function absent(code: number, sentence: string, ...given: unknown[]): Promise<never> {
  void given;
  return Promise.reject(new ZegoError(code, sentence));
}
