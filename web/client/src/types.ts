// What programs see besides the engine itself. Bit rates are kbit/s, times ms,
// rates percent.

export interface ZegoUser {
  userID: string;
  userName?: string;
}

export interface ZegoRoomConfig {
  /** Deliver roomUserUpdate. */
  userUpdate?: boolean;
  /** The tutorial's name of userUpdate. */
  isUserStatusNotify?: boolean;
  /** 0 is unlimited; the room's first login decides. */
  maxMemberCount?: number;
}

export interface ZegoSwitchRoomConfig extends ZegoRoomConfig {
  token: string;
}

export interface ZegoTurnServer {
  url: string;
  username?: string;
  credential?: string;
}

export interface ZegoServerResponse {
  errorCode: number;
  extendedData?: string;
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
  /** The key "recording" has true, false or "paused", others a text. */
  value: unknown;
  /** Who set it; missing for "recording". */
  updateUser?: ZegoUser;
  /** ms since 1970 */
  updateTime?: number;
}

export interface ZegoBroadcastMessageInfo {
  fromUser: ZegoUser;
  message: string;
  /** ms since 1970 */
  sendTime: number;
  messageID: number;
}

export interface ZegoBarrageMessageInfo {
  fromUser: ZegoUser;
  message: string;
  /** ms since 1970 */
  sendTime: number;
  messageID: string;
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

/** In a mini program only audioBitrate is known. */
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

/** Zero in the browser: this service carries sound only. */
export interface ZegoVideoStats {
  videoBitrate: number;
  videoFPS: number;
  videoWidth: number;
  videoHeight: number;
  frameWidth?: number;
  frameHeight?: number;
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
  /** 0 (-60 dBov and less) to 100 (full scale), linear in dB */
  soundLevel: number;
  type: 'push' | 'pull';
}

export interface ZegoDeviceInfo {
  deviceName: string;
  deviceID: string;
}

export type ZegoRoomState = 'DISCONNECTED' | 'CONNECTING' | 'CONNECTED';
export type ZegoRoomStateChangedReason =
  | 'LOGINING' | 'LOGINED' | 'LOGIN_FAILED' | 'RECONNECTING' | 'RECONNECTED' | 'RECONNECT_FAILED' | 'KICKOUT' | 'LOGOUT';
export type ZegoUpdateType = 'ADD' | 'DELETE';

/** The events that this client fires, with what their callbacks get. */
export interface ZegoEvent {
  roomStateUpdate(roomID: string, state: ZegoRoomState, errorCode: number, extendedData: string): void;
  roomStateChanged(roomID: string, reason: ZegoRoomStateChangedReason, errorCode: number, extendedData: string): void;
  roomUserUpdate(roomID: string, updateType: ZegoUpdateType, userList: ZegoUser[]): void;
  roomOnlineUserCountUpdate(roomID: string, count: number): void;
  roomStreamUpdate(roomID: string, updateType: ZegoUpdateType, streamList: ZegoStreamList[], extendedData: string): void;
  streamExtraInfoUpdate(roomID: string, streamList: ZegoStreamList[]): void;
  roomExtraInfoUpdate(roomID: string, roomExtraInfoList: ZegoRoomExtraInfo[]): void;
  publisherStateUpdate(result: ZegoPublisherState): void;
  playerStateUpdate(result: ZegoPlayerState): void;
  /** every 3 s */
  publishQualityUpdate(streamID: string, stats: ZegoPublishStats): void;
  /** every 3 s */
  playQualityUpdate(streamID: string, stats: ZegoPlayStats): void;
  /** 30 s before */
  tokenWillExpire(roomID: string): void;
  IMRecvBroadcastMessage(roomID: string, list: ZegoBroadcastMessageInfo[]): void;
  IMRecvBarrageMessage(roomID: string, list: ZegoBarrageMessageInfo[]): void;
  IMRecvCustomCommand(roomID: string, fromUser: ZegoUser, command: string): void;
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
  camera?: ZegoMicrophone & {
    audioBitrate?: number;
    audio?: boolean | (Omit<ZegoMicrophone, 'audioInput'> & { input?: string });
    video?: boolean;
  };
  custom?: { source?: MediaStream | HTMLMediaElement; audio?: { source: MediaStream | HTMLMediaElement } };
  /** refused: this service carries sound only */
  screen?: unknown;
}

export interface ZegoPublishOption {
  extraInfo?: string;
  /** Send less during silence; off unless true. */
  enableDTX?: boolean;
  /** kbit/s */
  audioBitrate?: number;
}

/** The attributes of a live-pusher; in a browser those of the microphone count. */
export interface ZegoWxPusherAttributes {
  id?: string;
  url?: string;
  enableCamera?: boolean;
  enableMic?: boolean;
  enableAec?: boolean;
  enableAns?: boolean;
  enableAgc?: boolean;
  audioInput?: string;
  channelCount?: 1 | 2;
  [name: string]: unknown;
}

/** The attributes of a live-player. */
export interface ZegoWxPlayerAttributes {
  id?: string;
  url?: string;
  muteAudio?: boolean;
  [name: string]: unknown;
}

export interface ZegoWxLivePusher {
  start(streamID: string, options?: ZegoPublishOption): Promise<void>;
  stop(): void;
  pause(options?: object): void;
  resume(options?: object): void;
}

export interface ZegoWxLivePlayer {
  play(options?: object): Promise<void>;
  stop(): void;
  pause(options?: object): void;
  resume(options?: object): void;
  /** In a browser: toggles without an argument. */
  mute(muted?: boolean | object): void;
}

/** An event of a mini program's component, as its handler gets it. */
export interface ZegoWxEvent {
  detail?: {
    code?: number;
    message?: string;
    info?: Record<string, number>;
    volume?: number;
  };
}

export interface ZegoWxContext {
  /** the page or component whose data hold the attributes */
  wxContext?: any;
  pushAtr?: string;
  playAtr?: string;
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
  /** 0 works, 10001 no WebRTC or too old a WeChat, 10002 no microphone */
  code: number;
  msg: string;
}
