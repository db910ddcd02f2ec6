// One call: the engine, and what the page shows of it.

import { ZegoExpressEngine, type ZegoDeviceInfo, type ZegoError, type ZegoLocalStream } from '../client/src';
import { People, isMix, type Person } from './people';
import { explain } from './texts';

const LEVEL_INTERVAL = 150; // ms

export interface Ticket {
  room: string;
  user: string;
  token: string;
  appID: number;
  /** The stream ID to publish; made from the user's if it is empty. */
  stream: string;
  /** No echo cancellation, noise suppression and gain control. */
  raw: boolean;
}

export interface State {
  phase: 'out' | 'joining' | 'in';
  room: string;
  people: Person[];
  /** The microphone is published, or about to be. */
  speaking: boolean;
  muted: boolean;
  recording: 'no' | 'yes' | 'paused';
  /** The connection is being made again. */
  reconnecting: boolean;
  tokenExpires: boolean;
  error: string;
  /** For screen readers: what happened last. */
  status: string;
  microphones: ZegoDeviceInfo[];
  /** deviceID of the chosen one; '' is the browser's choice. */
  microphone: string;
}

const OUT = { phase: 'out', room: '', people: [], speaking: false, muted: false, recording: 'no', reconnecting: false, tokenExpires: false } as const;

export class Call {
  state: State = { ...OUT, people: [], error: '', status: '', microphones: [], microphone: '' };
  #changed: () => void;
  #engine: ZegoExpressEngine | null = null;
  #people = new People();
  #stream: ZegoLocalStream | null = null;
  #streamID = '';
  /** How the microphone is opened, for another try. */
  #microphone: Pick<Ticket, 'user' | 'stream' | 'raw'> = { user: '', stream: '', raw: false };

  /** changed is called whenever the state is another. */
  constructor(changed: () => void) {
    this.#changed = changed;
    navigator.mediaDevices?.addEventListener?.('devicechange', () => this.#listMicrophones());
    this.#listMicrophones();
  }

  #set(change: Partial<State>): void {
    this.state = { ...this.state, ...change };
    this.#changed();
  }

  #showPeople(change: Partial<State> = {}): void {
    this.#set({ people: this.#people.list, ...change });
  }

  say(error: string): void {
    this.#set({ error });
  }

  /** Resolves with the code of the error; 0 is success. */
  async join(ticket: Ticket): Promise<number> {
    const { room, user } = ticket;
    const self = { userID: user, userName: user };
    const zg = new ZegoExpressEngine(ticket.appID, location.origin);
    this.#engine = zg;
    this.#people = new People();
    this.#set({ ...OUT, phase: 'joining', room, people: [], error: '' });
    this.#listen(zg, self);
    try {
      await zg.loginRoom(room, ticket.token, self, { userUpdate: true });
    } catch (e) {
      const error = e as ZegoError;
      zg.destroyEngine();
      if (this.#engine === zg) this.#engine = null;
      this.#set({ phase: 'out', error: this.state.error || explain(error) });
      return error.errorCode;
    }
    if (this.#engine !== zg) return 0; // left meanwhile
    zg.setSoundLevelDelegate(true, LEVEL_INTERVAL);
    this.#set({ phase: 'in', status: `You are in room ${room}.` });
    await this.#speak(zg, ticket);
    return 0;
  }

  async #speak(zg: ZegoExpressEngine, { user, stream, raw }: Pick<Ticket, 'user' | 'stream' | 'raw'>): Promise<void> {
    const unique = crypto.getRandomValues(new Uint32Array(1))[0]!.toString(36);
    this.#streamID = stream || `${user.replace(/[^0-9A-Za-z_-]/g, '_')}-${unique}`;
    this.#microphone = { user, stream, raw };
    const processing = raw ? { AEC: false, ANS: false, AGC: false } : {};
    try {
      this.#stream = await zg.createZegoStream({
        camera: { audio: true, video: false, ...processing, ...(this.state.microphone ? { audioInput: this.state.microphone } : {}) },
      });
    } catch (e) {
      if (this.#engine === zg) this.#set({ error: `${explain(e as ZegoError)} You can still listen.` });
      return;
    }
    if (this.#engine !== zg) return; // the engine, destroyed, has let it go
    this.#watchTrack();
    this.#listMicrophones();
    const self = { userID: user, userName: user };
    this.#people.addStream({ streamID: this.#streamID, user: self, extraInfo: '' }, true);
    this.#showPeople({ speaking: true });
    // What goes wrong comes as publisherStateUpdate.
    zg.startPublishingStream(this.#streamID, this.#stream, { extraInfo: '' });
  }

  /** A microphone that is pulled out ends its track. */
  #watchTrack(): void {
    const track = this.#stream?.stream.getAudioTracks()[0];
    track?.addEventListener('ended', () => {
      this.#set({ error: 'The microphone is gone. Another one is used if there is one.', microphone: '' });
      this.useMicrophone('');
    });
  }

  /** '' is the browser's choice. In a call it goes on with the other one. */
  async useMicrophone(deviceID: string): Promise<void> {
    const before = this.state.microphone;
    this.#set({ microphone: deviceID });
    const zg = this.#engine;
    if (!zg || this.state.phase !== 'in') return;
    if (!this.state.speaking) {
      this.#set({ error: '' });
      await this.#speak(zg, this.#microphone);
      return;
    }
    try {
      await zg.useAudioDevice(this.#stream!, deviceID);
      this.#watchTrack();
      this.#set({ error: '' });
    } catch (e) {
      this.#set({ microphone: before, error: explain(e as ZegoError) });
    }
  }

  async #listMicrophones(): Promise<void> {
    const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    const microphones = all.filter((d) => d.kind === 'audioinput' && d.deviceId !== '' && d.deviceId !== 'default')
      .map((d, i) => ({ deviceID: d.deviceId, deviceName: d.label || `Microphone ${i + 1}` }));
    const gone = !microphones.some((m) => m.deviceID === this.state.microphone);
    this.#set({ microphones, ...(gone ? { microphone: '' } : {}) });
  }

  mute(muted: boolean): void {
    const zg = this.#engine;
    if (!zg || !this.state.speaking) return;
    const extraInfo = JSON.stringify({ muted });
    zg.mutePublishStreamAudio(this.#streamID, muted);
    zg.setStreamExtraInfo(this.#streamID, extraInfo).catch(() => {}); // it is told again with the next one
    this.#people.setInfo(this.#streamID, extraInfo);
    this.#showPeople({ muted, status: muted ? 'You are muted.' : 'You are heard again.' });
  }

  leave(status: string, error = ''): void {
    const zg = this.#engine;
    this.#engine = null;
    zg?.destroyEngine();
    this.#stream = null;
    this.#set({ ...OUT, people: [], error, status });
  }

  #listen(zg: ZegoExpressEngine, self: { userID: string; userName: string }): void {
    const people = this.#people;
    zg.on('roomStateUpdate', (room, state, errorCode, extendedData) => {
      if (state === 'CONNECTED') {
        people.add(self, true);
        this.#showPeople({ reconnecting: false });
      } else if (state === 'CONNECTING' && errorCode) {
        people.hush();
        this.#showPeople({ reconnecting: true });
      } else if (state === 'DISCONNECTED' && errorCode && this.state.phase === 'in') {
        this.leave('', explain({ errorCode, extendedData }));
      }
    });
    zg.on('roomUserUpdate', (room, updateType, userList) => {
      for (const user of userList) {
        if (updateType === 'ADD') people.add(user);
        else people.remove(user.userID);
      }
      const names = userList.map((u) => u.userName || u.userID).join(', ');
      this.#showPeople({ status: updateType === 'ADD' ? `${names} joined.` : `${names} left.` });
    });
    zg.on('roomStreamUpdate', (room, updateType, streamList) => {
      for (const stream of streamList) {
        if (isMix(stream)) continue;
        const player = zg.getPlayerInstance(stream.streamID);
        if (updateType === 'ADD') {
          people.addStream(stream);
          player?.play().catch((error) => this.#set({ error: explain(error) }));
        } else {
          people.removeStream(stream.streamID);
          player?.stop();
        }
      }
      this.#showPeople();
    });
    zg.on('streamExtraInfoUpdate', (room, streamList) => {
      for (const stream of streamList) people.setInfo(stream.streamID, stream.extraInfo);
      this.#showPeople();
    });
    zg.on('roomExtraInfoUpdate', (room, list) => {
      for (const { key, value } of list) {
        if (key === 'recording') this.#set({ recording: value === 'paused' ? 'paused' : value === true ? 'yes' : 'no' });
      }
    });
    zg.on('publisherStateUpdate', ({ streamID, state, errorCode, extendedData }) => {
      if (state !== 'NO_PUBLISH' || !errorCode) return;
      people.removeStream(streamID);
      this.#showPeople({ speaking: false, error: `${explain({ errorCode, extendedData })} You can still listen.` });
    });
    zg.on('soundLevelUpdate', (levels) => {
      people.setLevels(levels);
      this.#showPeople();
    });
    zg.on('publishQualityUpdate', (streamID, { audio, roundTripTime, packetsLostRate }) => {
      people.setQuality(streamID, audio.audioQuality, figures(audio.audioBitrate, packetsLostRate, roundTripTime));
      this.#showPeople();
    });
    zg.on('playQualityUpdate', (streamID, { audio, peerToPeerDelay }) => {
      people.setQuality(streamID, audio.audioQuality, figures(audio.audioBitrate, audio.audioPacketsLostRate, peerToPeerDelay));
      this.#showPeople();
    });
    zg.on('tokenWillExpire', () => this.#set({ tokenExpires: true }));
  }
}

function figures(kbit: number, lost: number, delay: number): string {
  return `${Math.round(kbit)} kbit/s, ${lost} % lost, ${Math.round(delay)} ms`;
}
