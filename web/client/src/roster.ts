import type { Events } from './events';
import type { ZegoStreamList, ZegoUpdateType, ZegoUser } from './types';

interface Stream {
  streamID: string;
  user: ZegoUser;
  extraInfo: string;
}

/** Who and what is in a room besides oneself; tells what changes of it, once. */
export class Roster {
  #users = new Map<string, ZegoUser>();
  #streams = new Map<string, Stream>();

  /** tellUsers: the program asked for roomUserUpdate. onEnd is called for every stream that has ended. */
  constructor(
    private readonly events: Events,
    private readonly roomID: string,
    private readonly self: string,
    private readonly tellUsers: boolean,
    private readonly onEnd: (streamID: string) => void,
  ) {}

  /** The whole list, after a login. */
  usersAre(list: ZegoUser[]): void {
    const now = new Set(list.map((u) => u.userID));
    this.usersChanged('DELETE', [...this.#users.values()].filter((u) => !now.has(u.userID)));
    this.usersChanged('ADD', list);
  }

  usersChanged(updateType: ZegoUpdateType, list: ZegoUser[]): void {
    const others = list.filter((u) => u.userID !== this.self);
    const changed = others.filter((u) => this.#users.has(u.userID) === (updateType === 'DELETE'));
    for (const u of changed) {
      if (updateType === 'ADD') this.#users.set(u.userID, u);
      else this.#users.delete(u.userID);
    }
    if (changed.length > 0 && this.tellUsers) this.events.emit('roomUserUpdate', this.roomID, updateType, changed);
  }

  /** The whole list, after a login: what is told is what changed since the connection was lost. */
  streamsAre(list: Stream[]): void {
    const now = new Set(list.map((s) => s.streamID));
    const gone = [...this.#streams.values()].filter((s) => !now.has(s.streamID));
    const other = list.filter((s) => {
      const before = this.#streams.get(s.streamID);
      return before && before.user.userID === s.user.userID && before.extraInfo !== s.extraInfo;
    });
    this.streamsChanged('DELETE', gone, JSON.stringify({ stream_delete_reason: gone.map(() => ({ code: 5 })) }));
    this.streamsChanged('ADD', list, '');
    this.extraInfoChanged(other);
  }

  streamsChanged(updateType: ZegoUpdateType, list: Stream[], extendedData: string): void {
    const others = list.filter((s) => s.user?.userID !== this.self);
    const changed = others.filter((s) => this.#streams.has(s.streamID) === (updateType === 'DELETE'));
    if (changed.length === 0) return;
    for (const s of changed) {
      if (updateType === 'ADD') this.#streams.set(s.streamID, s);
      else this.#streams.delete(s.streamID);
    }
    this.events.emit('roomStreamUpdate', this.roomID, updateType, changed.map(asListed), extendedData);
    if (updateType !== 'DELETE') return;
    for (const s of changed) if (!this.#streams.has(s.streamID)) this.onEnd(s.streamID);
  }

  extraInfoChanged(list: Stream[]): void {
    const known = list.filter((s) => this.#streams.has(s.streamID));
    for (const s of known) this.#streams.set(s.streamID, { ...this.#streams.get(s.streamID)!, extraInfo: s.extraInfo });
    if (known.length > 0) this.events.emit('streamExtraInfoUpdate', this.roomID, known.map(asListed));
  }
}

function asListed({ streamID, user, extraInfo }: Stream): ZegoStreamList {
  return { streamID, user, extraInfo: extraInfo || '', urlsFLV: '', urlsRTMP: '', urlsHLS: '', urlsHttpsFLV: '', urlsHttpsHLS: '' };
}
