import type { ZegoEvent } from './types';

/** Events that this client fires. */
const FIRED: readonly (keyof ZegoEvent)[] = [
  'roomStateUpdate', 'roomStateChanged', 'roomUserUpdate', 'roomOnlineUserCountUpdate', 'roomStreamUpdate',
  'streamExtraInfoUpdate', 'roomExtraInfoUpdate', 'publisherStateUpdate', 'playerStateUpdate',
  'publishQualityUpdate', 'playQualityUpdate', 'tokenWillExpire', 'IMRecvBroadcastMessage',
  'IMRecvBarrageMessage', 'IMRecvCustomCommand',
  'soundLevelUpdate', 'capturedSoundLevelUpdate', 'playerAudioTrackUpdate',
];

/** Events of ZEGO's SDKs that have no counterpart in this service. Programs
    may listen to them as ever; they do not come. */
const SILENT = [
  'mixerRelayCDNStateUpdate', 'hallStateUpdate', 'recvReliableMessage',
  'remoteMicStatusUpdate', 'remoteCameraStatusUpdate', 'networkQuality', 'exceptionUpdate', 'playerVideoTrackUpdate',
  'mixerSoundLevelUpdate', 'autoMixerSoundLevelUpdate', 'playerRecvSEI', 'screenSharingEnded',
  'audioDeviceStateChanged', 'videoDeviceStateChanged', 'deviceError', 'publisherVideoEncoderChanged',
  'beautyEffectError', 'backgroundEffectError', 'recvExperimentalAPI', 'receiveRealTimeSequentialData',
  'recvRoomTransparentMessage',
];

type Callback = (...args: any[]) => void;

/** The callbacks of one engine, by event. */
export class Events {
  #callbacks = new Map<string, Callback[]>([...FIRED, ...SILENT].map((name) => [name, []]));

  on(name: string, callback: Callback): boolean {
    const list = this.#callbacks.get(name);
    if (!list || typeof callback !== 'function') return false;
    list.push(callback);
    return true;
  }

  off(name: string, callback?: Callback): boolean {
    const list = this.#callbacks.get(name);
    if (!list) return false;
    this.#callbacks.set(name, callback ? list.filter((c) => c !== callback) : []);
    return true;
  }

  clear(): void {
    for (const name of this.#callbacks.keys()) this.#callbacks.set(name, []);
  }

  /** A program's mistake in one callback must not break the client or the other callbacks. */
  emit<K extends keyof ZegoEvent>(name: K, ...args: Parameters<ZegoEvent[K]>): void {
    for (const callback of [...this.#callbacks.get(name)!]) {
      try {
        callback(...args);
      } catch (e) {
        if (typeof reportError === 'function') reportError(e);
        else console.error(e);
      }
    }
  }
}
