import { Code, TRANSIENT, ZegoError, asZegoError } from './codes';
import type { Events } from './events';
import { Line } from './peer';
import { watchSurroundings } from './platform';
import { Players } from './players';
import type { Publisher } from './publisher';
import { Roster } from './roster';
import type { ZegoRoomConfig, ZegoRoomState, ZegoRoomStateChangedReason, ZegoTurnServer, ZegoUser } from './types';
import { Wire } from './wire';

const RETRY_FIRST = 250; // ms before the second attempt; doubles
const RETRY_MOST = 5000; // ms between attempts at most
const SILENCE_LIMIT = 45_000; // ms without a word of the server before it is asked
const PROBE_TIMEOUT = 5000; // ms for the answer to that
const FAREWELL_TIMEOUT = 1000; // ms for the answer to a logout

/** What a program said at loginRoom, and how the engine is set up. */
export interface Login {
  roomID: string;
  token: string;
  user: ZegoUser;
  config?: ZegoRoomConfig | undefined;
  addresses: string[];
  /** s that a lost room is tried again */
  retryTime: number;
  turnServers: ZegoTurnServer[];
}

/** One login of one room, from loginRoom until DISCONNECTED: its state, its reconnections. */
export class Room {
  readonly roomID: string;
  token: string;
  /** The standing connection; null while it is being made or made again. */
  wire: Wire | null = null;
  readonly publishers = new Map<string, Publisher>();
  readonly publishing = new Line();
  readonly players = new Players(this);
  readonly user: { userID: string; userName: string };
  readonly turnServers: ZegoTurnServer[];
  #config: { userUpdate: boolean; maxMemberCount: number };
  #addresses: string[];
  #retryTime: number;
  #roster: Roster;
  #onLeft: () => void;
  #sessionID = '';
  #ended = false;
  #opening: Wire | null = null;
  #wake: (() => void) | null = null;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #unwatch = () => {};

  /** onLeft is called once, before the last state is told. */
  constructor(readonly events: Events, login: Login, onLeft: () => void) {
    this.roomID = login.roomID;
    this.token = login.token;
    this.user = { userID: login.user.userID, userName: login.user.userName === undefined ? '' : String(login.user.userName) };
    this.#config = {
      userUpdate: Boolean(login.config?.userUpdate || login.config?.isUserStatusNotify),
      maxMemberCount: Number(login.config?.maxMemberCount || 0),
    };
    this.#addresses = login.addresses;
    this.#retryTime = login.retryTime;
    this.turnServers = login.turnServers;
    this.#onLeft = onLeft;
    this.#roster = new Roster(events, this.roomID, this.user.userID, this.#config.userUpdate, (streamID) => {
      // A program that leaves a deleted stream playing would play nothing.
      this.players.stop(streamID, new ZegoError(Code.STREAM_MISSING, 'the stream has ended'));
    });
  }

  async login(): Promise<true> {
    this.#setState('CONNECTING', 0, '', 'LOGINING');
    try {
      if (this.#ended) throw new ZegoError(Code.NOT_LOGGED_IN, 'logged out while logging in'); // by a callback
      await this.#connect('LOGINED');
    } catch (e) {
      const error = asZegoError(e, Code.SERVER_ERROR);
      this.#end(error.errorCode, error.extendedData, 'LOGIN_FAILED');
      throw error;
    }
    if (this.#ended) throw new ZegoError(Code.NOT_LOGGED_IN, 'logged out while logging in');
    this.#unwatch = watchSurroundings(() => this.#probe(), () => this.logout());
    return true;
  }

  logout(): void {
    if (this.#ended) return;
    const wire = this.wire;
    this.#end(0, '', 'LOGOUT', () => {
      wire?.call('logoutRoom', { roomID: this.roomID }, FAREWELL_TIMEOUT).catch(() => {}).then(() => wire.close());
    });
  }

  call(method: string, params: object): Promise<any> {
    if (!this.wire) return Promise.reject(new ZegoError(Code.RETRYING, 'the connection is being made again'));
    return this.wire.call(method, params);
  }

  /** Sends in its turn what needs no answer. */
  tell(line: Line, method: string, params: object): void {
    const wire = this.wire;
    if (wire) line.add(() => (wire === this.wire ? wire.call(method, params) : undefined));
  }

  /** The media connection died under a living wire: both are made anew. */
  recover(): void {
    this.wire?.abandon();
  }

  async #connect(reason: ZegoRoomStateChangedReason): Promise<void> {
    let error = new ZegoError(Code.SOCKET_CLOSED, 'there is no server');
    for (const address of this.#addresses) {
      let wire: Wire | null = null;
      try {
        wire = this.#opening = await Wire.open(address);
        if (this.#ended) break;
        const result = await wire.call('loginRoom', {
          roomID: this.roomID, token: this.token, user: this.user, config: this.#config,
          ...(this.#sessionID ? { sessionID: this.#sessionID } : {}),
        });
        if (this.#ended) break;
        this.#opening = null;
        this.#connected(wire, result, reason);
        return;
      } catch (e) {
        wire?.close();
        error = asZegoError(e, Code.SERVER_ERROR);
        if (!TRANSIENT.has(error.errorCode)) break; // another address would say the same
      }
    }
    if (this.#ended) {
      this.#opening?.close();
      throw new ZegoError(Code.NOT_LOGGED_IN, 'logged out while logging in');
    }
    throw error.errorCode === Code.CALL_TIMEOUT ? new ZegoError(Code.LOGIN_TIMEOUT, error.extendedData) : error;
  }

  #connected(wire: Wire, result: any, reason: ZegoRoomStateChangedReason): void {
    this.wire = wire;
    this.#sessionID = result.sessionID || '';
    clearInterval(this.#heartbeat);
    this.#heartbeat = setInterval(() => {
      if (Date.now() - wire.heard > SILENCE_LIMIT) this.#probe();
    }, SILENCE_LIMIT / 3);
    const here = () => this.wire === wire; // a callback may log out
    this.#setState('CONNECTED', 0, '', reason);
    if (here()) this.#roster.usersAre(result.users || []);
    if (here()) this.#roster.streamsAre(result.streams || []);
    if (!here()) return;
    for (const publisher of this.publishers.values()) publisher.negotiate();
    this.players.resume();
    wire.release((method, params) => {
      if (here()) this.#notice(wire, method, params);
    }, () => {
      if (here()) this.#dropped();
    });
  }

  #dropped(): void {
    this.wire = null;
    clearInterval(this.#heartbeat);
    this.#setState('CONNECTING', Code.RETRYING, 'the connection was lost', 'RECONNECTING');
    for (const publisher of [...this.publishers.values()]) publisher.suspend();
    this.players.suspend();
    if (!this.#ended) this.#reconnect();
  }

  async #reconnect(): Promise<void> {
    const deadline = Date.now() + this.#retryTime * 1000;
    for (let attempt = 0; !this.#ended; attempt++) {
      if (attempt > 0) await this.#pause(Math.min(RETRY_MOST, RETRY_FIRST * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2));
      if (this.#ended) return;
      try {
        await this.#connect('RECONNECTED');
        return;
      } catch (e) {
        if (this.#ended) return;
        const error = asZegoError(e, Code.SERVER_ERROR);
        if (!TRANSIENT.has(error.errorCode)) {
          this.#end(error.errorCode, error.extendedData, 'RECONNECT_FAILED');
        } else if (Date.now() >= deadline) {
          this.#end(Code.RETRY_EXCEEDED, error.extendedData, 'RECONNECT_FAILED');
        }
      }
    }
  }

  /** Waits; a network that is back and a logout cut it short. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Finds out whether the server is still there: any answer will do. */
  #probe(): void {
    this.#wake?.();
    const wire = this.wire;
    if (!wire) return;
    const asked = Date.now();
    wire.call('ping', {}, PROBE_TIMEOUT).catch(() => {
      if (wire === this.wire && wire.heard < asked) wire.abandon();
    });
  }

  #end(errorCode: number, extendedData: string, reason: ZegoRoomStateChangedReason, farewell?: () => void): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const publisher of [...this.publishers.values()]) publisher.stop();
    this.players.stopAll();
    const wire = this.wire;
    this.wire = null;
    clearInterval(this.#heartbeat);
    this.#wake?.();
    this.#opening?.close();
    this.#unwatch();
    if (farewell) farewell();
    else wire?.close();
    this.#onLeft();
    this.#setState('DISCONNECTED', errorCode, extendedData, reason);
  }

  #setState(state: ZegoRoomState, errorCode: number, extendedData: string, reason: ZegoRoomStateChangedReason): void {
    this.events.emit('roomStateUpdate', this.roomID, state, errorCode, extendedData);
    this.events.emit('roomStateChanged', this.roomID, reason, errorCode, extendedData);
  }

  /** What the server tells. */
  #notice(wire: Wire, method: string, params: any): void {
    const { events, roomID } = this;
    switch (method) {
      case 'roomStateUpdate':
        // The other states are this side's to tell.
        if (params.state === 'DISCONNECTED') this.#end(params.errorCode || 0, params.extendedData || '', 'KICKOUT');
        break;
      case 'roomUserUpdate':
        this.#roster.usersChanged(params.updateType, params.userList || []);
        break;
      case 'roomStreamUpdate':
        this.#roster.streamsChanged(params.updateType, params.streamList || [], params.extendedData || '');
        break;
      case 'streamExtraInfoUpdate':
        this.#roster.extraInfoChanged(params.streamList || []);
        break;
      case 'roomExtraInfoUpdate':
        events.emit(method, roomID, params.roomExtraInfoList || []);
        break;
      case 'roomOnlineUserCountUpdate':
        events.emit(method, roomID, params.count);
        break;
      case 'publisherStateUpdate':
        this.#publisherTold(params);
        break;
      case 'playerStateUpdate':
        this.#playerTold(params);
        break;
      case 'tokenWillExpire':
        events.emit(method, roomID);
        break;
      case 'IMRecvBroadcastMessage':
      case 'IMRecvBarrageMessage':
        events.emit(method, roomID, params.list || []);
        break;
      case 'IMRecvCustomCommand':
        events.emit(method, roomID, params.fromUser, params.command || '');
        break;
      case 'offer':
        this.players.offer(wire, params);
        break;
      default: // roomSoundLevel and what later servers may add
    }
  }

  #publisherTold({ streamID, state, errorCode, extendedData }: any): void {
    const publisher = this.publishers.get(streamID);
    if (!publisher || !errorCode) return;
    if (state === 'NO_PUBLISH') publisher.fail(new ZegoError(errorCode, extendedData || ''));
    if (state === 'PUBLISH_REQUESTING') publisher.restart(errorCode, extendedData || '');
  }

  #playerTold({ streamID, state, errorCode, extendedData }: any): void {
    if (state !== 'NO_PLAY' || !errorCode) return; // stops and successes are known here
    if (errorCode === Code.PLAY_INTERRUPTED) this.players.restart(streamID, extendedData || '');
    else this.players.stop(streamID, new ZegoError(errorCode, extendedData || ''));
  }
}
