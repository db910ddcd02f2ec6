// The tutorial's steps in its order. The page shows the text of each function
// and runs it: what is read is what happens.

import type { ZegoEvent, ZegoExpressEngine as Engine, ZegoWxEvent } from '../client/src';

declare const ZegoExpressEngine: typeof Engine; // of /client.js

/** What the page gives to the steps. */
export interface Page {
  appID: number;
  server: string;
  roomID: string;
  token: string;
  userID: string;
  userName: string;
  streamID: string;
  data: Record<string, unknown>;
  setData(change: Record<string, unknown>): void;
  log(name: string, ...args: unknown[]): void;
}

let zg: Engine;

// ## Create the engine
export function create({ appID, server }: Page) {
  zg = new ZegoExpressEngine(appID, server);
}

// ## Listen to everything, before the login
export function listen({ log }: Page) {
  const names: (keyof ZegoEvent)[] = [
    'roomStateUpdate', 'roomStateChanged', 'roomUserUpdate', 'roomOnlineUserCountUpdate',
    'roomStreamUpdate', 'streamExtraInfoUpdate', 'roomExtraInfoUpdate',
    'publisherStateUpdate', 'playerStateUpdate', 'publishQualityUpdate', 'playQualityUpdate',
    'tokenWillExpire', 'IMRecvBroadcastMessage',
  ];
  for (const name of names) zg.on(name, (...args: unknown[]) => log(name, ...args));
}

// ## Play what comes, stop what goes
export function follow() {
  zg.on('roomStreamUpdate', (roomID, updateType, streamList) => {
    if (updateType === 'ADD') {
      streamList.forEach((i) => {
        zg.getPlayerInstance(i.streamID)!.play();
      });
    } else {
      streamList.forEach((i) => {
        zg.getPlayerInstance(i.streamID)!.stop();
      });
    }
  });
}

// ## Log in to the room
export async function login({ roomID, token, userID, userName, log }: Page) {
  const result = await zg.loginRoom(roomID, token, { userID, userName }, { isUserStatusNotify: true });
  log('loginRoom', result);
}

// ## Name the page's data
export function context(page: Page) {
  zg.initContext({
    wxContext: page,
    pushAtr: 'pusher',
    playAtr: 'playerList',
  });
}

// ## Publish the microphone
export async function publish({ streamID }: Page) {
  const pusher = zg.createPusher({ enableCamera: false })!;
  await pusher.start(streamID);
}

// ## Tell something about the stream, and say something to all
export async function tell({ roomID, userName, streamID }: Page) {
  await zg.setStreamExtraInfo(streamID, JSON.stringify({ mood: 'good' }));
  await zg.sendBroadcastMessage(roomID, `Hello from ${userName}`);
}

// ## Forward the components' events (a browser needs none of it)
export function forward({ streamID }: Page) {
  const e: ZegoWxEvent = { detail: { code: 1002, info: {} } };
  zg.updatePlayerState(streamID, e);
  zg.updatePlayerNetStatus(streamID, e);
}

// ## Stop publishing
export function unpublish() {
  zg.getPusherInstance()!.stop();
}

// ## Stop playing
export function unplay({ data }: Page) {
  for (const { id } of (data.playerList as { id: string }[] | undefined) ?? []) zg.getPlayerInstance(id)!.stop();
}

// ## Leave the room
export function logout({ roomID }: Page) {
  zg.logoutRoom(roomID);
}

// ## Destroy the engine
export function destroy() {
  zg.destroyEngine();
}

export const steps: ((page: Page) => void | Promise<void>)[] = [
  create, listen, follow, login, context, publish, tell, forward, unpublish, unplay, logout, destroy,
];
