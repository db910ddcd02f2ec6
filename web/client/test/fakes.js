'use strict';
// A browser and a room service for tests: WebSocket, RTCPeerConnection,
// microphone and audio elements that do what the test says, at once.

const OPUS = [
  'v=0', 'm=audio 9 UDP/TLS/RTP/SAVPF 111 0', 'a=mid:0', 'a=rtpmap:111 opus/48000/2',
  'a=rtcp-fb:111 transport-cc', 'a=fmtp:111 minptime=10;useinbandfec=1', 'a=rtpmap:0 PCMU/8000', '',
].join('\r\n');

/** Lets everything run that waits for no timer. */
async function settle() {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

class Track {
  constructor(world) {
    this.id = `track-${world.tracks++}`;
    this.enabled = true;
    this.readyState = 'live';
  }
  getSettings() {
    return { channelCount: 1 };
  }
  stop() {
    this.readyState = 'ended';
  }
}

class Stream {
  constructor(tracks = []) {
    this.tracks = [...tracks];
  }
  getTracks() {
    return this.tracks;
  }
  getAudioTracks() {
    return this.tracks;
  }
  addTrack(track) {
    this.tracks.push(track);
  }
  removeTrack(track) {
    this.tracks = this.tracks.filter((t) => t !== track);
  }
}

/** World is the fake surroundings of one test. */
class World {
  tracks = 0;
  /** Every WebSocket ever made. */
  sockets = [];
  /** Every RTCPeerConnection ever made. */
  peers = [];
  /** Every call that reached the service: [method, params]. */
  calls = [];
  audios = [];
  microphones = [];
  /** Whether the service can be reached. */
  reachable = true;
  /** Whether media connections come up. */
  mediaWorks = true;
  /** The name of the error of getUserMedia, or null. */
  microphoneError = null;
  /** The name of the error of an audio element's play, or null. */
  playError = null;
  stats = () => [];
  sdpRunning = 0;
  sdpTogether = 0;

  /** Answers by method; a thrown {code, message} is an error, a returned undefined no answer. */
  answers = {
    loginRoom: (p) => ({ roomID: p.roomID, sessionID: 's1', users: [], streams: [] }),
    logoutRoom: () => ({}), renewToken: () => ({}), startPublishing: () => ({ sdp: OPUS }), stopPublishing: () => ({}),
    startPlaying: () => ({}), stopPlaying: () => ({}), answer: () => ({}),
    setStreamExtraInfo: () => ({}), sendBroadcastMessage: () => ({}),
    sendBarrageMessage: () => ({}), sendCustomCommand: () => ({}), setRoomExtraInfo: () => ({}),
  };

  constructor() {
    const world = this;
    const listeners = new Map();
    Object.assign(globalThis, {
      WebSocket: class extends Socket {
        constructor(url) {
          super(world, url);
        }
      },
      RTCPeerConnection: class extends Peer {
        constructor(config) {
          super(world, config);
        }
      },
      MediaStream: Stream,
      document: { createElement: () => new Audio(world), body: { append: (e) => (e.attached = true) } },
      addEventListener: (name, f) => listeners.set(name, f),
      removeEventListener: (name) => listeners.delete(name),
    });
    this.fire = (name) => listeners.get(name) && listeners.get(name)();
    Object.defineProperty(globalThis, 'navigator', {
      configurable: true,
      value: { mediaDevices: { getUserMedia: (constraints) => world.getUserMedia(constraints) } },
    });
  }

  async getUserMedia(constraints) {
    if (this.microphoneError) throw Object.assign(new Error('no'), { name: this.microphoneError });
    const stream = new Stream([new Track(this)]);
    this.microphones.push({ constraints, stream });
    return stream;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  called(method) {
    return this.calls.filter(([m]) => m === method).map(([, params]) => params);
  }

  offer(streams, origin = 'o=- 1 1 IN IP4 0.0.0.0\r\n') {
    const sdp = origin + Object.keys(streams).map((mid) => OPUS.replace('a=mid:0', `a=mid:${mid}`)).join('');
    this.socket.notify('offer', { sdp, streams });
  }
}

class Socket {
  constructor(world, url) {
    this.world = world;
    this.url = url;
    this.open = false;
    world.sockets.push(this);
    queueMicrotask(() => {
      if (world.reachable) {
        this.open = true;
        this.onopen({});
      } else {
        this.onclose({});
      }
    });
  }

  send(text) {
    const { id, method, params } = JSON.parse(text);
    this.world.calls.push([method, params]);
    queueMicrotask(() => {
      if (!this.open) return;
      const answer = this.world.answers[method];
      try {
        if (!answer) throw { code: -32601, message: 'unknown method' };
        const result = answer(params, this);
        if (result !== undefined) this.receive({ jsonrpc: '2.0', id, result });
      } catch (error) {
        if (error instanceof Error) throw error;
        this.receive({ jsonrpc: '2.0', id, error });
      }
    });
  }

  notify(method, params) {
    this.receive({ jsonrpc: '2.0', method, params });
  }

  receive(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }

  /** The network takes it away. */
  cut() {
    this.open = false;
    this.onclose({ reason: '' });
  }

  close() {
    this.open = false;
    this.closed = true;
  }
}

class Peer {
  constructor(world, config) {
    this.world = world;
    this.config = config;
    this.connectionState = 'new';
    this.signalingState = 'stable';
    this.transceivers = [];
    this.closed = false;
    world.peers.push(this);
  }

  addTransceiver(track, init) {
    const sender = { track, replaceTrack: async (other) => (sender.track = other) };
    const transceiver = { mid: '0', sender, init };
    this.transceivers.push(transceiver);
    return transceiver;
  }

  getTransceivers() {
    return this.transceivers;
  }

  async createOffer() {
    return { type: 'offer', sdp: OPUS };
  }

  async createAnswer() {
    return { type: 'answer', sdp: OPUS };
  }

  async setLocalDescription(description) {
    this.local = description;
    if (description.type !== 'answer') return;
    this.world.sdpRunning--;
    this.signalingState = 'stable';
    this.connect();
  }

  async setRemoteDescription(description) {
    this.remote = description;
    if (description.type === 'answer') {
      this.connect();
      return;
    }
    this.world.sdpTogether = Math.max(this.world.sdpTogether, ++this.world.sdpRunning);
    this.signalingState = 'have-remote-offer';
    for (const m of description.sdp.matchAll(/a=mid:(\S+)/g)) {
      if (!this.transceivers.some((t) => t.mid === m[1])) {
        this.transceivers.push({ mid: m[1], receiver: { track: new Track(this.world) } });
      }
    }
    await new Promise((resolve) => setImmediate(resolve)); // long enough for a second offer to come in between
  }

  connect() {
    if (this.world.mediaWorks && this.connectionState === 'new') setImmediate(() => this.change('connected'));
  }

  change(state) {
    if (this.closed) return;
    this.connectionState = state;
    if (this.onconnectionstatechange) this.onconnectionstatechange();
  }

  async getStats() {
    return new Map(this.world.stats(this).map((s, i) => [s.id || String(i), s]));
  }

  close() {
    this.closed = true;
    this.connectionState = 'closed';
  }
}

class Audio {
  constructor(world) {
    this.world = world;
    this.dataset = {};
    this.attached = false;
    world.audios.push(this);
  }
  async play() {
    if (this.world.playError) throw Object.assign(new Error('no'), { name: this.world.playError });
    this.playing = true;
  }
  pause() {
    this.playing = false;
  }
  remove() {
    this.attached = false;
  }
}

module.exports = { World, Stream, Track, settle };
