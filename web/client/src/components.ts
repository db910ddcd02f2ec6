// Pushers and players, as the tutorial has them: in a mini program they stand
// for its components, in a browser for microphone and loudspeaker.

import type {
  ZegoWxContext, ZegoWxEvent, ZegoWxLivePlayer, ZegoWxLivePusher, ZegoWxPlayerAttributes, ZegoWxPusherAttributes,
} from './types';

export const PUSHER_DEFAULTS: Readonly<ZegoWxPusherAttributes> = Object.freeze({ enableCamera: true, enableMic: true });

/** The one pusher and the players of an engine, in one of the two surroundings. */
export interface Components {
  /** The same pusher every time; config counts on the first call only. null before initContext. */
  createPusher(config?: ZegoWxPusherAttributes): ZegoWxLivePusher | null;
  getPusherInstance(): ZegoWxLivePusher | null;
  /** The stream's player, made if there is none; wxContext is the component that shows it. */
  getPlayerInstance(streamID: string, wxContext?: unknown): ZegoWxLivePlayer | null;
  setPusherAttributes(config: ZegoWxPusherAttributes): void;
  /** Events that the program forwards from its components. */
  stateChanged(streamID: string, event: ZegoWxEvent): void;
  netStatusChanged(streamID: string, event: ZegoWxEvent): void;
  volumeChanged(streamID: string, event: ZegoWxEvent): void;
  /** The room was left. */
  left(): void;
  /** Stops and forgets every player. */
  stopPlayers(): void;
}

/** The attributes of pusher and players, mirrored into the data of the program's page. */
export class PageData {
  #context: ZegoWxContext | null = null;
  #pusher: ZegoWxPusherAttributes | null = null;
  #players = new Map<string, ZegoWxPlayerAttributes>();

  /** Whether initContext was called. */
  get bound(): boolean {
    return this.#context !== null;
  }

  get pusher(): ZegoWxPusherAttributes {
    return this.#pusher ?? PUSHER_DEFAULTS;
  }

  bind({ wxContext, pushAtr, playAtr }: ZegoWxContext): void {
    this.#context = { wxContext, pushAtr: pushAtr || 'pusher', playAtr: playAtr || 'playerList' };
    if (this.#pusher) this.setPusher({});
    if (this.#players.size > 0) this.#showPlayers();
  }

  /** Changes some attributes. */
  setPusher(change: ZegoWxPusherAttributes): void {
    this.#pusher = { ...this.pusher, ...change };
    this.#show(this.#context?.pushAtr, { ...this.#pusher });
  }

  /** Back to the defaults: a stop forgets the configuration. */
  resetPusher(): void {
    this.#pusher = null;
    this.setPusher({});
  }

  players(): ZegoWxPlayerAttributes[] {
    return [...this.#players.values()].map((a) => ({ ...a }));
  }

  addPlayer(streamID: string): void {
    this.#players.set(streamID, { id: streamID });
    this.#showPlayers();
  }

  /** Changes some attributes of a player that is there. */
  setPlayer(streamID: string, change: ZegoWxPlayerAttributes): void {
    const attributes = this.#players.get(streamID);
    if (!attributes) return;
    this.#players.set(streamID, { ...attributes, ...change });
    this.#showPlayers();
  }

  removePlayer(streamID: string): void {
    if (this.#players.delete(streamID)) this.#showPlayers();
  }

  #showPlayers(): void {
    this.#show(this.#context?.playAtr, this.players());
  }

  #show(name: string | undefined, value: unknown): void {
    const page = this.#context?.wxContext;
    if (name && page && typeof page.setData === 'function') page.setData({ [name]: value });
  }
}
