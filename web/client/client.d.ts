/** Types of @mixdown/client. Bit rates are kbit/s, times ms, rates percent. */

export interface ZegoUser {
  userID: string;
  userName?: string;
}

export interface ZegoRoomConfig {
  /** Deliver roomUserUpdate. */
  userUpdate?: boolean;
  /** The older name of userUpdate. */
  isUserStatusNotify?: boolean;
  /** 0 is unlimited; the room's first login decides. */
  maxMemberCount?: number;
}

export interface ZegoServerResponse {
  errorCode: number;
  extendedData?: string;
}

/** What failed calls reject with. */
export interface ZegoError extends Error {
  errorCode: number;
  extendedData: string;
  code: number;
}

export interface ZegoStreamList {
  streamID: string;
  user: ZegoUser;
  extraInfo: string;
  urlsFLV: string;
  urlsRTMP: string;
  urlsHLS: string;
  urlsHttpsFLV: string;
  urlsHttpsHLS: string;
}

export interface ZegoRoomExtraInfo {
  key: string;
  /** The key "recording" has true, false or "paused". */
  value: unknown;
}

export interface ZegoBroadcastMessageInfo {
  fromUser: ZegoUser;
  message: string;
  /** ms since 1970 */
  sendTime: number;
  messageID: number;
}

export interface ZegoPublisherState {
  streamID: string;
  state: 'PUBLISHING' | 'NO_PUBLISH' | 'PUBLISH_REQUESTING';
  errorCode: number;
  extendedData: string;
}

export interface ZegoPlayerState {
  streamID: string;
  state: 'NO_PLAY' | 'PLAY_REQUESTING' | 'PLAYING';
  errorCode: number;
  extendedData: string;
}

export interface ZegoAudioStats {
  audioBitrate: number;
  /** packets per second */
  audioFPS: number;
  audioCodec: string;
  audioSamplingRate: number;
  audioJitter: number;
  /** 0 to 1, linear */
  audioLevel: number;
  /** since the start */
  audioPacketsLost: number;
  /** of the last interval */
  audioPacketsLostRate: number;
  /** 0 excellent to 4 dead */
  audioQuality: number;
  muteState: '0' | '1';
}

export interface ZegoVideoStats {
  videoBitrate: 0;
  videoFPS: 0;
  videoWidth: 0;
  videoHeight: 0;
  frameWidth: 0;
  frameHeight: 0;
}

export interface ZegoPublishStats {
  audio: ZegoAudioStats & { audioPacketsRetransmitted: number };
  video: ZegoVideoStats;
  roundTripTime: number;
  packetsLostRate: number;
  totalRoundTripTime: number;
}

export interface ZegoPlayStats {
  audio: ZegoAudioStats & {
    /** share of the last interval that had to be concealed */
    audioCumulativeBreakRate: number;
    audioBufferDelay: number;
    audioNackCount: number;
  };
  video: ZegoVideoStats;
  roundTripTime: number;
  /** round trip and jitter buffer */
  peerToPeerDelay: number;
  peerToPeerPacketLostRate: number;
}

export interface ZegoSoundLevel {
  streamID: string;
  /** 0 (−60 dBov and less) to 100 (full scale), linear in dB */
  soundLevel: number;
  type: 'push' | 'pull';
}

export type ZegoRoomState = 'DISCONNECTED' | 'CONNECTING' | 'CONNECTED';
export type ZegoRoomStateChangedReason =
  | 'LOGINING' | 'LOGINED' | 'LOGIN_FAILED' | 'RECONNECTING' | 'RECONNECTED' | 'RECONNECT_FAILED' | 'KICKOUT' | 'LOGOUT';
export type ZegoUpdateType = 'ADD' | 'DELETE';

export interface ZegoEvent {
  roomStateUpdate(roomID: string, state: ZegoRoomState, errorCode: number, extendedData: string): void;
  roomStateChanged(roomID: string, reason: ZegoRoomStateChangedReason, errorCode: number, extendedData: string): void;
  roomUserUpdate(roomID: string, updateType: ZegoUpdateType, userList: ZegoUser[]): void;
  roomOnlineUserCountUpdate(roomID: string, count: number): void;
  roomStreamUpdate(roomID: string, updateType: ZegoUpdateType, streamList: ZegoStreamList[], extendedData: string): void;
  streamExtraInfoUpdate(roomID: string, streamList: ZegoStreamList[]): void;
  roomExtraInfoUpdate(roomID: string, roomExtraInfoList: ZegoRoomExtraInfo[]): void;
  publisherStateUpdate(state: ZegoPublisherState): void;
  playerStateUpdate(state: ZegoPlayerState): void;
  /** every 3 s */
  publishQualityUpdate(streamID: string, stats: ZegoPublishStats): void;
  /** every 3 s */
  playQualityUpdate(streamID: string, stats: ZegoPlayStats): void;
  /** 30 s before */
  tokenWillExpire(roomID: string): void;
  IMRecvBroadcastMessage(roomID: string, list: ZegoBroadcastMessageInfo[]): void;
  soundLevelUpdate(list: ZegoSoundLevel[]): void;
  capturedSoundLevelUpdate(soundLevel: number): void;
  /** After a reconnection: the track that now carries the stream. */
  playerAudioTrackUpdate(streamID: string, track: MediaStreamTrack): void;
}

export interface ZegoMicrophone {
  audioInput?: string;
  channelCount?: 1 | 2;
  /** echo cancellation, on unless false; ANS noise suppression, AGC gain control likewise */
  AEC?: boolean;
  ANS?: boolean;
  AGC?: boolean;
}

export interface ZegoStreamOptions {
  /** kbit/s; the browser's choice by default */
  audioBitrate?: number;
  camera?: ZegoMicrophone & { audioBitrate?: number; audio?: boolean | (Omit<ZegoMicrophone, 'audioInput'> & { input?: string }); video?: boolean };
  custom?: { source?: MediaStream | HTMLMediaElement; audio?: { source: MediaStream | HTMLMediaElement } };
}

export interface ZegoPublishOption {
  extraInfo?: string;
  /** Send less during silence; off unless true. */
  enableDTX?: boolean;
  /** kbit/s */
  audioBitrate?: number;
}

export interface ZegoWxPusherAttributes {
  enableCamera?: boolean;
  enableMic?: boolean;
  enableAec?: boolean;
  enableAns?: boolean;
  enableAgc?: boolean;
  audioInput?: string;
  channelCount?: 1 | 2;
  [name: string]: unknown;
}

export interface ZegoWxLivePusher {
  start(streamID: string, options?: ZegoPublishOption): Promise<void>;
  stop(): void;
  pause(): void;
  resume(): void;
}

export interface ZegoWxLivePlayer {
  play(options?: object): Promise<void>;
  stop(): void;
  pause(): void;
  resume(): void;
  /** toggles without an argument */
  mute(muted?: boolean): void;
}

export interface ZegoCapabilityDetection {
  result: boolean;
  errInfo: { extendedData?: string };
  webRTC: boolean;
  microphone: boolean;
  customCapture: boolean;
  camera: false;
  screenSharing: false;
  videoCodec: object;
  /** 0 works, 10001 no WebRTC, 10002 no microphone */
  code: number;
  msg: string;
}

export class ZegoLocalStream {
  readonly stream: MediaStream;
}

export class ZegoExpressEngine {
  constructor(appID: number, server: string | string[], options?: object);
  readonly appID: number;

  /** false for a name that is not an event. */
  on<K extends keyof ZegoEvent>(event: K, callback: ZegoEvent[K]): boolean;
  on(event: string, callback: (...args: any[]) => void): boolean;
  /** Without a callback all of them go. */
  off<K extends keyof ZegoEvent>(event: K, callback?: ZegoEvent[K]): boolean;
  off(event: string, callback?: (...args: any[]) => void): boolean;

  loginRoom(roomID: string, token: string, user: ZegoUser, config?: ZegoRoomConfig): Promise<true>;
  logoutRoom(roomID?: string): void;
  renewToken(token: string, roomID?: string): boolean;
  sendBroadcastMessage(roomID: string, message: string): Promise<ZegoServerResponse>;

  createStream(options?: ZegoStreamOptions): Promise<MediaStream>;
  createZegoStream(options?: ZegoStreamOptions): Promise<ZegoLocalStream>;
  destroyStream(stream: MediaStream | ZegoLocalStream): void;
  /** Throws when not logged in or when the streamID is out of rule; false when it is published already. */
  startPublishingStream(streamID: string, stream: MediaStream | ZegoLocalStream, options?: ZegoPublishOption): boolean;
  stopPublishingStream(streamID: string): boolean;
  mutePublishStreamAudio(mute: boolean): boolean;
  mutePublishStreamAudio(which: string | MediaStream | ZegoLocalStream, mute: boolean): boolean;
  setStreamExtraInfo(streamID: string, extraInfo: string): Promise<ZegoServerResponse>;

  startPlayingStream(streamID: string, options?: object): Promise<MediaStream>;
  stopPlayingStream(streamID: string): void;
  mutePlayStreamAudio(streamID: string, mute: boolean): Promise<boolean>;

  initContext(context: { wxContext?: any; pushAtr?: string; playAtr?: string }): void;
  /** null in a mini program before initContext. */
  createPusher(config?: ZegoWxPusherAttributes): ZegoWxLivePusher | null;
  getPusherInstance(): ZegoWxLivePusher | null;
  getPlayerInstance(streamID: string, wxContext?: any): ZegoWxLivePlayer | null;
  setPusherAttributes(config: ZegoWxPusherAttributes, callback?: () => void): void;
  setPlayerAttributes(streamID: string, config: object, callback?: () => void): void;
  getPlayerList(streamID?: string): object[];
  updatePlayerState(streamID: string, event: unknown): void;
  updatePlayerNetStatus(streamID: string, event: unknown): void;
  updateAudioVolumeNotify(streamID: string, event: unknown): void;

  /** interval in ms, 100 to 3000 */
  setSoundLevelDelegate(on: boolean, interval?: number): void;
  checkSystemRequirements(type?: string): Promise<ZegoCapabilityDetection>;
  setEngineConfig(config: string): void;
  setLogConfig(config: object): boolean;
  setDebugVerbose(on: boolean): void;
  enableMultiRoom(on: boolean): false;
  getVersion(): string;
  destroyEngine(): void;
}

export default ZegoExpressEngine;
