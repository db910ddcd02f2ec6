/*
 * The JavaScript client of Mixdown's room service: the calls, events, states
 * and codes of ZEGO's voice call tutorial over Mixdown's room protocol
 * (JSON-RPC 2.0 on /ws, media by WebRTC).
 *
 *   engine      what programs see; absent is what it cannot do
 *   room        one login: its state, reconnection; roster is who is here
 *   publisher   one published stream, one PeerConnection
 *   players     everything that is played, one PeerConnection
 *   wire        one socket: calls, their answers, notifications
 *   browser     pushers and players of a browser; mini those of a mini program
 */

export { ZegoError } from './codes';
export { ZegoExpressEngine, ZegoExpressEngine as default } from './engine';
export { ZegoLocalStream } from './microphone';
export { ZegoStreamView } from './view';
export type * from './types';
