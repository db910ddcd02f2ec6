import { Absent } from './absent';
import { BrowserComponents } from './browser';
import { Code, TRANSIENT, ZegoError } from './codes';
import { PageData, type Components } from './components';
import { Events } from './events';
import { checkLogin, checkStreamID, socketAddresses } from './identifiers';
import { LocalStreams } from './local';
import { Media } from './media';
import { MiniComponents, quietly } from './mini';
import { ZegoLocalStream, mediaOf, microphoneAllowed, microphones } from './microphone';
import { miniProgram } from './platform';
import { Room } from './room';
import type {
  ZegoCapabilityDetection, ZegoDeviceInfo, ZegoEvent, ZegoPlayStats, ZegoPublishOption, ZegoPublishStats, ZegoRoomConfig,
  ZegoServerResponse, ZegoStreamOptions, ZegoSwitchRoomConfig, ZegoTurnServer, ZegoUser, ZegoWxContext, ZegoWxEvent, ZegoWxLivePlayer,
  ZegoWxLivePusher, ZegoWxPlayerAttributes, ZegoWxPusherAttributes,
} from './types';
import { ZegoStreamView } from './view';

declare const __VERSION__: string;

const RETRY_TIME = 300; // s that a lost room is tried again
const OK: ZegoServerResponse = { errorCode: 0, extendedData: '' };

/**
 * The engine of ZEGO's tutorial against a Mixdown room service: one login at a
 * time, sound only. In a WeChat mini program it takes the form that the
 * tutorial has there.
 */
export class ZegoExpressEngine extends Absent {
  readonly appID: number;
  #addresses: string[];
  #retryTime = RETRY_TIME;
  #events = new Events();
  #media = new Media(this.#events);
  #data = new PageData();
  #mini: MiniComponents | null;
  #components: Components;
  #local = new LocalStreams(this.#media);
  #turnServers: ZegoTurnServer[] = [];
  #destroyed = false;

  /** server: address(es) of the room service, ws, wss, or the origin that serves it; options are accepted and unused. */
  constructor(appID: number, server: string | string[], options?: object) {
    super();
    void options;
    this.appID = Number(appID);
    this.#addresses = socketAddresses(server);
    const wx = miniProgram();
    this.#mini = wx && new MiniComponents(wx, this.#media, this.#data, this.#events);
    this.#components = this.#mini ?? new BrowserComponents(this.#media, this.#data);
  }

  /** false for a name that is not an event. */
  on<K extends keyof ZegoEvent>(event: K, callback: ZegoEvent[K]): boolean;
  on(event: string, callback: (...args: any[]) => void): boolean;
  on(event: string, callback: (...args: any[]) => void): boolean {
    return this.#events.on(event, callback);
  }

  /** Without a callback all of them go. */
  off<K extends keyof ZegoEvent>(event: K, callback?: ZegoEvent[K]): boolean;
  off(event: string, callback?: (...args: any[]) => void): boolean;
  off(event: string, callback?: (...args: any[]) => void): boolean {
    return this.#events.off(event, callback);
  }

  // The room.

  async loginRoom(roomID: string, token: string, user: ZegoUser, config?: ZegoRoomConfig): Promise<true> {
    if (this.#destroyed) throw new ZegoError(Code.NOT_LOGGED_IN, 'the engine is destroyed');
    checkLogin(roomID, token, user);
    if (this.#media.room) throw new ZegoError(Code.ALREADY_LOGGED_IN, `room ${this.#media.room.roomID} is not logged out`);
    const login = { roomID, token, user, config, addresses: this.#addresses, retryTime: this.#retryTime, turnServers: this.#turnServers };
    const room: Room = new Room(this.#events, login, () => {
      this.#components.left();
      this.#media.left(room);
    });
    this.#media.room = room;
    return room.login();
  }

  logoutRoom(roomID?: string): void {
    const room = this.#media.room;
    if (room && (roomID === undefined || roomID === room.roomID)) room.logout();
  }

  /** Leaves one room and enters another as the same user. */
  async switchRoom(fromRoomID: string, toRoomID: string, config: ZegoSwitchRoomConfig): Promise<true> {
    const room = this.#media.room;
    if (!room || room.roomID !== fromRoomID) throw new ZegoError(Code.NOT_LOGGED_IN, `not logged in to ${fromRoomID}`);
    checkLogin(toRoomID, config?.token, room.user);
    room.logout();
    return this.loginRoom(toRoomID, config.token, room.user, config);
  }

  /** Returns whether the token looks like one; the server's word on it comes at the next login. */
  renewToken(token: string, roomID?: string): boolean {
    if (typeof token !== 'string' || !/^04[0-9A-Za-z+/]+=*$/.test(token)) return false;
    const room = this.#media.room;
    if (!room || (roomID !== undefined && roomID !== room.roomID)) return false;
    const before = room.token;
    room.token = token;
    room.call('renewToken', { roomID: room.roomID, token }).catch((e: ZegoError) => {
      // A connection that is being made anew will log in with it.
      if (TRANSIENT.has(e.errorCode)) return;
      if (room.token === token) room.token = before; // unless it was renewed again
      console.warn(`renewToken: ${e.errorCode} ${e.extendedData}`);
    });
    return true;
  }

  sendBroadcastMessage(roomID: string, message: string): Promise<ZegoServerResponse> {
    return this.#ask(roomID, 'sendBroadcastMessage', { roomID, message });
  }

  /** To everybody else, as a broadcast; more of them may be sent. */
  sendBarrageMessage(roomID: string, message: string): Promise<ZegoServerResponse> {
    return this.#ask(roomID, 'sendBarrageMessage', { roomID, message });
  }

  /** To some users of the room; an empty list is everybody else. */
  sendCustomCommand(roomID: string, command: string, toUserIDList: string[] = []): Promise<ZegoServerResponse> {
    return this.#ask(roomID, 'sendCustomCommand', { roomID, command, toUserIDList });
  }

  /** Attaches a text to the room for all who are in it and who come; one key. An empty text takes it away. */
  setRoomExtraInfo(roomID: string, key: string, value: string): Promise<ZegoServerResponse> {
    return this.#ask(roomID, 'setRoomExtraInfo', { roomID, key, value });
  }

  async #ask(roomID: string | undefined, method: string, params: object): Promise<ZegoServerResponse> {
    const room = this.#media.room;
    if (!room || (roomID !== undefined && roomID !== room.roomID)) throw new ZegoError(Code.NOT_LOGGED_IN, 'not logged in');
    await room.call(method, params);
    return { ...OK };
  }

  // Local streams: in a browser.

  /** Opens the microphone, or takes the sound of custom.source. */
  createStream(options: ZegoStreamOptions = {}): Promise<MediaStream> {
    return this.#local.create(options);
  }

  async createZegoStream(options: ZegoStreamOptions = {}): Promise<ZegoLocalStream> {
    return new ZegoLocalStream(await this.#local.create(options));
  }

  destroyStream(stream: MediaStream | ZegoLocalStream): void {
    this.#local.destroy(stream);
  }

  /** The microphones there are; names are empty until one was allowed. */
  getMicrophones(): Promise<ZegoDeviceInfo[]> {
    return microphones();
  }

  /** Switches a stream of createStream to another microphone, also while it is published. */
  async useAudioDevice(stream: MediaStream | ZegoLocalStream, deviceID: string): Promise<ZegoServerResponse> {
    await this.#local.use(stream, deviceID);
    return { ...OK };
  }

  /** Shows a local stream without letting it be heard. */
  createLocalStreamView(stream: MediaStream | ZegoLocalStream): ZegoStreamView {
    return viewOf(stream, true);
  }

  /** Plays what startPlayingStream resolved with. */
  createRemoteStreamView(stream: MediaStream): ZegoStreamView {
    return viewOf(stream, false);
  }

  // Publishing.

  /**
   * In a browser: starts publishing; publisherStateUpdate tells what becomes of
   * it. Throws when not logged in or when the streamID is out of rule; false
   * when it is published already.
   */
  startPublishingStream(streamID: string, stream: MediaStream | ZegoLocalStream, options?: ZegoPublishOption): boolean;
  /** In a mini program: resolves with the address for live-pusher. */
  startPublishingStream(streamID: string, options?: ZegoPublishOption): Promise<{ streamID: string; url: string }>;
  startPublishingStream(streamID: string, stream?: unknown, options?: ZegoPublishOption): boolean | Promise<{ streamID: string; url: string }> {
    const mini = this.#mini;
    if (mini) return quietly(() => mini.startPush(streamID));
    const room = this.#media.room;
    if (!room) throw new ZegoError(Code.NOT_LOGGED_IN, 'not logged in');
    checkStreamID(streamID);
    const media = mediaOf(stream);
    if (!media) throw new ZegoError(Code.BAD_STREAM, 'no local stream is given');
    if (room.publishers.has(streamID)) return false;
    const audioBitrate = this.#local.bitrateOf(media);
    this.#media.publish(streamID, async () => media, { ...(audioBitrate ? { audioBitrate } : {}), ...options }, false, () => {});
    return true;
  }

  stopPublishingStream(streamID: string): boolean {
    return this.#mini ? this.#mini.stopPush(streamID) : this.#media.stopPublishing(streamID);
  }

  /** (mute), (streamID, mute) or (stream, mute): the forms of both SDKs. */
  mutePublishStreamAudio(mute: boolean): boolean;
  mutePublishStreamAudio(which: string | MediaStream | ZegoLocalStream, mute: boolean): boolean;
  mutePublishStreamAudio(which: unknown, mute?: boolean): boolean {
    const muted = Boolean(mute === undefined ? which : mute);
    if (!this.#mini) return this.#media.mutePublished(muted, mute === undefined ? undefined : which);
    this.#components.setPusherAttributes({ enableMic: !muted });
    return true;
  }

  /** Of no effect in a browser: this service carries sound only. */
  mutePublishStreamVideo(which: unknown, mute?: boolean): boolean {
    const muted = Boolean(mute === undefined ? which : mute);
    if (this.#mini) this.#components.setPusherAttributes({ enableCamera: !muted });
    return this.#mini !== null;
  }

  setStreamExtraInfo(streamID: string, extraInfo: string): Promise<ZegoServerResponse> {
    const room = this.#media.room;
    const publisher = room?.publishers.get(streamID);
    if (!room || !publisher) return Promise.reject(new ZegoError(Code.NOT_PUBLISHING, `stream ${streamID} is not published here`));
    if (!room.wire) {
      publisher.extraInfo = extraInfo; // goes with the stream when it is published again
      return Promise.resolve({ ...OK });
    }
    return this.#ask(undefined, 'setStreamExtraInfo', { streamID, extraInfo }).then((answer) => {
      publisher.extraInfo = extraInfo;
      return answer;
    });
  }

  // Playing.

  /** In a browser: resolves with the sound. */
  startPlayingStream(streamID: string, options?: object): Promise<MediaStream> {
    void options;
    const mini = this.#mini;
    return mini ? quietly(() => mini.startPlay(streamID)) : this.#media.play(streamID);
  }

  stopPlayingStream(streamID: string): void {
    if (this.#mini) this.#mini.stopPlay(streamID);
    else this.#media.stopPlaying(streamID);
  }

  async mutePlayStreamAudio(streamID: string, mute: boolean): Promise<boolean> {
    if (!this.#mini) return this.#media.mutePlayed(streamID, Boolean(mute));
    this.#data.setPlayer(streamID, { muteAudio: Boolean(mute) });
    return true;
  }

  /** Of no effect in a browser: this service carries sound only. */
  async mutePlayStreamVideo(streamID: string, mute: boolean): Promise<boolean> {
    if (this.#mini) this.#data.setPlayer(streamID, { muteVideo: Boolean(mute) });
    return this.#mini !== null;
  }

  // As in mini programs.

  /** Names the page and those of its data that hold the attributes of pusher and players. It comes before createPusher. */
  initContext(context: ZegoWxContext = {}): void {
    this.#data.bind(context);
  }

  /** The same pusher every time; config counts on the first call only. null before initContext. */
  createPusher(config?: ZegoWxPusherAttributes): ZegoWxLivePusher | null {
    return this.#components.createPusher(config);
  }

  getPusherInstance(): ZegoWxLivePusher | null {
    return this.#components.getPusherInstance();
  }

  /** The stream's player, made if there is none. In a mini program: null before initContext. */
  getPlayerInstance(streamID: string, wxContext?: unknown): ZegoWxLivePlayer | null {
    return this.#components.getPlayerInstance(streamID, wxContext);
  }

  setPusherAttributes(config: ZegoWxPusherAttributes, callback?: () => void): void {
    this.#components.setPusherAttributes(config);
    callback?.();
  }

  setPlayerAttributes(streamID: string, config: ZegoWxPlayerAttributes, callback?: () => void): void {
    this.#data.setPlayer(streamID, config);
    callback?.();
  }

  getPlayerList(streamID?: string): ZegoWxPlayerAttributes[] {
    const all = this.#data.players();
    return streamID === undefined ? all : all.filter((a) => a.id === streamID);
  }

  /** For bindstatechange of live-pusher and live-player. A browser needs none of it. */
  updatePlayerState(streamID: string, event: ZegoWxEvent): void {
    this.#components.stateChanged(streamID, event);
  }

  /** For bindnetstatus of both. */
  updatePlayerNetStatus(streamID: string, event: ZegoWxEvent): void {
    this.#components.netStatusChanged(streamID, event);
  }

  /** For bindaudiovolumenotify of both. */
  updateAudioVolumeNotify(streamID: string, event: ZegoWxEvent): void {
    this.#components.volumeChanged(streamID, event);
  }

  // The rest.

  /** Switches soundLevelUpdate; interval in ms, 100 to 3000. */
  setSoundLevelDelegate(on: boolean, interval = 1000): void {
    this.#media.figures.setSoundLevels(on, interval);
  }

  async checkSystemRequirements(type?: string): Promise<ZegoCapabilityDetection> {
    void type;
    const wx = miniProgram();
    const webRTC = typeof RTCPeerConnection === 'function';
    const microphone = wx ? wx.createLivePusherContext !== undefined : microphoneAllowed();
    let msg = '';
    if (wx && !microphone) msg = 'this WeChat is too old: it has no live-pusher';
    else if (!wx && !webRTC) msg = 'WebRTC is missing';
    else if (!microphone) msg = 'no microphone: the page is served neither by https nor from localhost';
    return {
      result: msg === '', errInfo: msg === '' ? {} : { extendedData: msg }, webRTC, microphone,
      customCapture: typeof MediaStream === 'function', camera: false, screenSharing: false, videoCodec: {},
      code: msg === '' ? 0 : wx || !webRTC ? 10001 : 10002, msg,
    };
  }

  /** Before a login: "room_retry_time=SECONDS". Others are accepted. */
  setEngineConfig(config: string): void {
    const m = /^room_retry_time=(\d+)$/.exec(config);
    if (m) this.#retryTime = Number(m[1]);
  }

  /** Before a login: relays for media connections that do not come up otherwise. */
  setTurnServer(servers: ZegoTurnServer[]): void {
    this.#turnServers = [...servers];
  }

  /** What the latest publishQualityUpdate of the stream said. */
  getPublishingStreamQuality(streamID: string): Promise<ZegoPublishStats> {
    return this.#media.figures.latest('push', streamID) as Promise<ZegoPublishStats>;
  }

  /** What the latest playQualityUpdate of the stream said. */
  getPlayingStreamQuality(streamID: string): Promise<ZegoPlayStats> {
    return this.#media.figures.latest('pull', streamID) as Promise<ZegoPlayStats>;
  }

  getVersion(): string {
    return __VERSION__;
  }

  /** Logs out, lets go of microphone and timers, forgets the callbacks. */
  destroyEngine(): void {
    this.logoutRoom();
    this.#destroyed = true;
    this.#components.stopPlayers();
    this.#local.end();
    this.#media.figures.setSoundLevels(false, 0);
    this.#events.clear();
  }
}

function viewOf(stream: unknown, muted: boolean): ZegoStreamView {
  const media = mediaOf(stream);
  if (!media) throw new ZegoError(Code.BAD_STREAM, 'this is no stream');
  return new ZegoStreamView(media, muted);
}
