/*
 * The JavaScript client of Mixdown's room service: the calls, events, states
 * and codes of ZEGO's voice call tutorial over Mixdown's room protocol
 * (JSON-RPC 2.0 on /ws, media by WebRTC).
 *
 * One UMD file without dependencies. As a script it makes the global
 * ZegoExpressEngine; as a CommonJS module it exports it.
 *
 *   Wire        one WebSocket: calls, their answers, notifications
 *   Publisher   one published stream, one PeerConnection
 *   Players     everything that is played, one PeerConnection
 *   Room        one login: its state, reconnection, who is here
 *   ZegoExpressEngine, Pusher, Player   what programs see
 */
(function (root, factory) {
  'use strict';
  const ZegoExpressEngine = factory(root);
  if (typeof module === 'object' && module.exports) {
    module.exports = ZegoExpressEngine;
    module.exports.ZegoExpressEngine = ZegoExpressEngine;
    module.exports.default = ZegoExpressEngine;
  } else if (typeof define === 'function' && define.amd) {
    define([], () => ZegoExpressEngine);
  } else {
    root.ZegoExpressEngine = ZegoExpressEngine;
  }
})(typeof globalThis === 'object' ? globalThis : this, function (root) {
  'use strict';

  const VERSION = '1.0.0';

  const CALL_TIMEOUT = 10000; // ms for one answer of the server
  const CONNECT_TIMEOUT = 10000; // ms for one WebSocket to open
  const MEDIA_TIMEOUT = 20000; // ms for a media connection to come up
  const QUALITY_INTERVAL = 3000; // ms between quality events
  const RETRY_TIME = 300; // s that a lost room is tried again
  const RETRY_FIRST = 250; // ms before the second attempt; doubles
  const RETRY_MOST = 5000; // ms between attempts at most
  const SILENCE_LIMIT = 45000; // ms without a word of the server before it is asked
  const PROBE_TIMEOUT = 5000; // ms for the answer to that

  // ZEGO's codes, as its public error table lists them.
  const Code = Object.freeze({
    NOT_LOGGED_IN: 1000002,
    STREAM_ID_LONG: 1000014,
    STREAM_ID_EMPTY: 1000015,
    STREAM_ID_BAD: 1000016,
    RETRYING: 1000017,
    BAD_STREAM: 1000018,
    ALREADY_LOGGED_IN: 1002001,
    USER_ID_EMPTY: 1002005,
    USER_ID_BAD: 1002006,
    USER_ID_LONG: 1002007,
    USER_NAME_LONG: 1002010,
    ROOM_ID_EMPTY: 1002011,
    ROOM_ID_BAD: 1002012,
    ROOM_ID_LONG: 1002013,
    LOGIN_TIMEOUT: 1002031,
    RETRY_EXCEEDED: 1002053,
    STREAM_MISSING: 1004002,
    PLAY_INTERRUPTED: 1004020,
    BAD_PARAMETER: 1100001,
    CALL_TIMEOUT: 1100002,
    SOCKET_CLOSED: 1100003,
    SERVER_ERROR: 1100999,
    PUBLISH_PARAMETER: 1103001,
    PUBLISH_CONNECT: 1103003,
    PUBLISH_SDP: 1103022,
    NOT_PUBLISHING: 1103040,
    PUBLISH_SOCKET: 1103050,
    HTTPS_REQUIRED: 1103053,
    ALREADY_PUBLISHING: 1103056,
    MICROPHONE_FAILED: 1103061,
    MICROPHONE_DENIED: 1103064,
    MICROPHONE_BUSY: 1103065,
    MICROPHONE_CONSTRAINTS: 1103066,
    PLAY_CONNECT: 1104021,
    PLAY_SDP: 1104022,
    ALREADY_PLAYING: 1104032,
  });

  // A login that failed with one of these is worth another attempt.
  const TRANSIENT = new Set([
    Code.RETRYING, Code.LOGIN_TIMEOUT, Code.CALL_TIMEOUT, Code.SOCKET_CLOSED, Code.SERVER_ERROR, 1102001, -32603, -32000,
  ]);

  // Events that this client fires.
  const EVENTS = [
    'roomStateUpdate', 'roomStateChanged', 'roomUserUpdate', 'roomOnlineUserCountUpdate', 'roomStreamUpdate',
    'streamExtraInfoUpdate', 'roomExtraInfoUpdate', 'publisherStateUpdate', 'playerStateUpdate',
    'publishQualityUpdate', 'playQualityUpdate', 'tokenWillExpire', 'IMRecvBroadcastMessage',
    'soundLevelUpdate', 'capturedSoundLevelUpdate', 'playerAudioTrackUpdate',
  ];
  // Events of ZEGO's SDKs that have no counterpart in this service. Programs
  // may listen to them as ever; they do not come.
  const SILENT_EVENTS = [
    'IMRecvBarrageMessage', 'IMRecvCustomCommand', 'mixerRelayCDNStateUpdate', 'hallStateUpdate', 'recvReliableMessage',
    'remoteMicStatusUpdate', 'remoteCameraStatusUpdate', 'networkQuality', 'exceptionUpdate', 'playerVideoTrackUpdate',
    'mixerSoundLevelUpdate', 'autoMixerSoundLevelUpdate', 'playerRecvSEI', 'screenSharingEnded',
    'audioDeviceStateChanged', 'videoDeviceStateChanged', 'deviceError', 'publisherVideoEncoderChanged',
    'recvRoomTransparentMessage',
  ];

  /** What every failed call rejects with: ZEGO's code and a sentence. */
  class ZegoError extends Error {
    /**
     * @param {number} errorCode
     * @param {string} extendedData
     */
    constructor(errorCode, extendedData) {
      super(extendedData);
      this.name = 'ZegoError';
      this.errorCode = errorCode;
      this.extendedData = extendedData;
      this.code = errorCode;
    }
  }

  function asZegoError(e, fallback) {
    if (e instanceof ZegoError) return e;
    return new ZegoError(fallback, e && e.message ? e.message : String(e));
  }

  // ---------------------------------------------------------------- identifiers

  const encoder = new TextEncoder();
  const byteLength = (s) => encoder.encode(s).length;
  const ROOM_ID = /^[0-9A-Za-z~!@#$^&*()_+=\-;',.<>]+$/;
  const USER_ID = /^[0-9A-Za-z~!@#$^&*()_+=\-;',.]+$/;
  const STREAM_ID = /^[0-9A-Za-z_-]+$/;

  function checkID(id, pattern, limit, name, codes) {
    if (typeof id !== 'string' || id === '') throw new ZegoError(codes[0], `${name} is empty`);
    if (byteLength(id) > limit) throw new ZegoError(codes[1], `${name} is longer than ${limit} bytes`);
    if (!pattern.test(id)) throw new ZegoError(codes[2], `${name} has a character that is not allowed`);
  }

  function checkLogin(roomID, token, user) {
    checkID(roomID, ROOM_ID, 128, 'roomID', [Code.ROOM_ID_EMPTY, Code.ROOM_ID_LONG, Code.ROOM_ID_BAD]);
    if (typeof token !== 'string' || token === '') throw new ZegoError(Code.BAD_PARAMETER, 'token is required');
    const userID = user && user.userID;
    checkID(userID, USER_ID, 64, 'userID', [Code.USER_ID_EMPTY, Code.USER_ID_LONG, Code.USER_ID_BAD]);
    if (user.userName && byteLength(String(user.userName)) > 256) {
      throw new ZegoError(Code.USER_NAME_LONG, 'userName is longer than 256 bytes');
    }
  }

  function checkStreamID(streamID) {
    checkID(streamID, STREAM_ID, 256, 'streamID', [Code.STREAM_ID_EMPTY, Code.STREAM_ID_LONG, Code.STREAM_ID_BAD]);
  }

  /** Turns ws://, wss:// or http(s):// addresses into WebSocket addresses. */
  function socketAddresses(server) {
    const list = (Array.isArray(server) ? server : [server]).map((address) => {
      let url;
      try {
        url = new URL(String(address), root.location ? root.location.href : undefined);
      } catch (e) {
        throw new ZegoError(Code.BAD_PARAMETER, `server ${JSON.stringify(address)} is not an address`);
      }
      if (url.protocol === 'http:') url.protocol = 'ws:';
      if (url.protocol === 'https:') url.protocol = 'wss:';
      if (url.protocol !== 'ws:' && url.protocol !== 'wss:') {
        throw new ZegoError(Code.BAD_PARAMETER, `server ${JSON.stringify(address)} is neither ws, wss, http nor https`);
      }
      if (url.pathname === '/') url.pathname = '/ws';
      url.hash = '';
      return url.href;
    });
    if (list.length === 0) throw new ZegoError(Code.BAD_PARAMETER, 'no server is given');
    return list;
  }

  // ---------------------------------------------------------------- events

  class Emitter {
    #handlers = new Map();

    constructor(names) {
      for (const name of names) this.#handlers.set(name, []);
    }

    on(name, callback) {
      const list = this.#handlers.get(name);
      if (!list || typeof callback !== 'function') return false;
      list.push(callback);
      return true;
    }

    off(name, callback) {
      const list = this.#handlers.get(name);
      if (!list) return false;
      this.#handlers.set(name, callback ? list.filter((c) => c !== callback) : []);
      return true;
    }

    clear() {
      for (const name of this.#handlers.keys()) this.#handlers.set(name, []);
    }

    /** A program's mistake in one callback must not break the client or the other callbacks. */
    emit(name, ...args) {
      for (const callback of this.#handlers.get(name)) {
        try {
          callback(...args);
        } catch (e) {
          if (typeof root.reportError === 'function') root.reportError(e);
          else console.error(e);
        }
      }
    }
  }

  // ---------------------------------------------------------------- session descriptions

  /** Payload type of Opus in a session description, or null. */
  function opusType(sdp) {
    const m = /^a=rtpmap:(\d+) opus\/48000/im.exec(sdp);
    return m ? m[1] : null;
  }

  /** Browsers support retransmission of audio but do not ask for it by themselves. */
  function askForNACK(sdp) {
    const types = new Set();
    for (const m of sdp.matchAll(/^a=rtpmap:(\d+) opus\/48000/gim)) types.add(m[1]);
    for (const pt of types) {
      if (new RegExp(`^a=rtcp-fb:${pt} nack\\s*$`, 'm').test(sdp)) continue;
      sdp = sdp.replace(new RegExp(`^(a=rtpmap:${pt} opus/48000.*)(\\r?\\n)`, 'gim'), `$1$2a=rtcp-fb:${pt} nack$2`);
    }
    return sdp;
  }

  /**
   * Sets parameters of Opus in every media section; null removes one.
   * @param {string} sdp
   * @param {Record<string, string|number|null>} values
   */
  function setOpusParameters(sdp, values) {
    const pt = opusType(sdp);
    if (pt === null) return sdp;
    const write = (text) => {
      const all = new Map();
      for (const part of text.split(';')) {
        const at = part.indexOf('=');
        if (part.trim() !== '') all.set((at < 0 ? part : part.slice(0, at)).trim(), at < 0 ? '' : part.slice(at + 1).trim());
      }
      for (const [name, value] of Object.entries(values)) {
        if (value === null) all.delete(name);
        else all.set(name, String(value));
      }
      return [...all].map(([name, value]) => (value === '' ? name : `${name}=${value}`)).join(';');
    };
    const line = new RegExp(`^a=fmtp:${pt} (.*?)(\\r?)$`, 'gm');
    if (line.test(sdp)) {
      line.lastIndex = 0;
      return sdp.replace(line, (_, text, cr) => `a=fmtp:${pt} ${write(text)}${cr}`);
    }
    return sdp.replace(new RegExp(`^(a=rtpmap:${pt} opus/48000.*)(\\r?\\n)`, 'gim'), `$1$2a=fmtp:${pt} ${write('')}$2`);
  }

  /** The session id of a description (RFC 8866, section 5.2): another one is another connection. */
  function originOf(sdp) {
    const m = /^o=\S+ (\d+)/m.exec(sdp);
    return m ? m[1] : '';
  }

  /**
   * Applies a changed local description. What a browser lets pages change
   * differs between versions; one that refuses gets its own text, and the
   * changed one still goes to the server.
   */
  async function setLocalDescription(pc, original, sdp) {
    try {
      await pc.setLocalDescription({ type: original.type, sdp });
    } catch (e) {
      await pc.setLocalDescription(original);
    }
  }

  // ---------------------------------------------------------------- the wire

  /** One WebSocket with JSON-RPC 2.0. Notifications wait until `release`. */
  class Wire {
    #socket;
    #next = 1;
    #calls = new Map();
    #held = [];
    #onNotice = null;
    #onClose = null;
    #closed = false;
    /** Time of the last message, ms. */
    heard = Date.now();

    constructor(socket) {
      this.#socket = socket;
      socket.onmessage = (event) => this.#receive(event.data);
      socket.onclose = (event) => this.#end(event && event.reason);
      socket.onerror = () => {};
    }

    /** @returns {Promise<Wire>} */
    static open(address) {
      return new Promise((resolve, reject) => {
        let socket;
        try {
          socket = new root.WebSocket(address);
        } catch (e) {
          reject(asZegoError(e, Code.SOCKET_CLOSED));
          return;
        }
        const timer = setTimeout(() => {
          socket.onclose = null;
          socket.close();
          reject(new ZegoError(Code.SOCKET_CLOSED, `no connection to ${address} in ${CONNECT_TIMEOUT / 1000} s`));
        }, CONNECT_TIMEOUT);
        socket.onerror = () => {}; // a close always follows
        socket.onclose = () => {
          clearTimeout(timer);
          reject(new ZegoError(Code.SOCKET_CLOSED, `cannot connect to ${address}`));
        };
        socket.onopen = () => {
          clearTimeout(timer);
          resolve(new Wire(socket));
        };
      });
    }

    /** Hands over the notifications, those that came before first. */
    release(onNotice, onClose) {
      this.#onNotice = onNotice;
      this.#onClose = onClose;
      const held = this.#held;
      this.#held = null;
      for (const [method, params] of held) onNotice(method, params);
      if (this.#closed) onClose();
    }

    /** @returns {Promise<any>} the result; rejects with a ZegoError */
    call(method, params, timeout = CALL_TIMEOUT) {
      if (this.#closed) return Promise.reject(new ZegoError(Code.SOCKET_CLOSED, 'the connection is closed'));
      const id = this.#next++;
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          this.#calls.delete(id);
          reject(new ZegoError(Code.CALL_TIMEOUT, `no answer to ${method} in ${timeout / 1000} s`));
        }, timeout);
        this.#calls.set(id, { resolve, reject, timer });
        this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
      });
    }

    /** Closes without a report to onClose. */
    close() {
      this.#onClose = null;
      this.#end('closed');
      this.#socket.close(1000);
    }

    /** Gives the connection up as if the network had: onClose is told. */
    abandon() {
      this.#end('given up');
      this.#socket.close();
    }

    #receive(data) {
      this.heard = Date.now();
      let message;
      try {
        message = JSON.parse(data);
      } catch (e) {
        return; // not of this protocol
      }
      if (message.method !== undefined) {
        if (this.#closed) return;
        if (this.#held) this.#held.push([message.method, message.params || {}]);
        else this.#onNotice(message.method, message.params || {});
        return;
      }
      const call = this.#calls.get(message.id);
      if (!call) return;
      this.#calls.delete(message.id);
      clearTimeout(call.timer);
      if (message.error) call.reject(new ZegoError(message.error.code, message.error.message || ''));
      else call.resolve(message.result || {});
    }

    #end(reason) {
      if (this.#closed) return;
      this.#closed = true;
      for (const call of this.#calls.values()) {
        clearTimeout(call.timer);
        call.reject(new ZegoError(Code.SOCKET_CLOSED, reason || 'the connection was lost'));
      }
      this.#calls.clear();
      if (this.#onClose) this.#onClose();
    }
  }

  /** Runs asynchronous work one after the other, whatever becomes of each. */
  class Line {
    #tail = Promise.resolve();

    add(work) {
      const result = this.#tail.then(work);
      this.#tail = result.catch(() => {});
      return result;
    }
  }

  // ---------------------------------------------------------------- figures

  const round1 = (x) => Math.round(x * 10) / 10;
  const percent = (part, whole) => (whole > 0 ? round1((100 * part) / whole) : 0);

  /** What grew since the last look, for counters that only grow. */
  class Growth {
    #last = new Map();

    /** since is the time, ms, at which counters.ms began to count from zero. */
    of(key, since, counters) {
      let before = this.#last.get(key);
      if (!before || before.since !== since) before = { ms: since }; // a new connection counts anew
      this.#last.set(key, { ...counters, since });
      const grown = {};
      for (const [name, value] of Object.entries(counters)) grown[name] = Math.max(0, (value || 0) - (before[name] || 0));
      return grown;
    }

    forget(key) {
      this.#last.delete(key);
    }
  }

  /** ZEGO's grades: 0 excellent, 1 good, 2 medium, 3 bad, 4 dead. */
  function grade(lostRate, roundTrip) {
    const limits = [[2, 150], [6, 300], [15, 500], [50, 1500]];
    const at = limits.findIndex(([lost, ms]) => lostRate < lost && roundTrip < ms);
    return at < 0 ? 4 : at;
  }

  function roundTripOf(report) {
    for (const s of report.values()) {
      if (s.type === 'candidate-pair' && s.nominated && typeof s.currentRoundTripTime === 'number') return s.currentRoundTripTime * 1000;
    }
    return 0;
  }

  function codecOf(report, s) {
    const codec = s.codecId ? report.get(s.codecId) : null;
    return { audioCodec: codec ? codec.mimeType.replace(/^audio\//, '') : '', audioSamplingRate: codec ? codec.clockRate : 0 };
  }

  const NO_VIDEO = Object.freeze({ videoBitrate: 0, videoFPS: 0, videoWidth: 0, videoHeight: 0, frameWidth: 0, frameHeight: 0 });

  /** ZegoPublishStats out of a sender's report; null before the first packet. */
  function publishStats(report, growth, key, { muted, since }) {
    let out = null, remote = null, source = null;
    for (const s of report.values()) {
      if (s.type === 'outbound-rtp' && s.kind === 'audio') out = s;
      if (s.type === 'remote-inbound-rtp' && s.kind === 'audio') remote = s;
      if (s.type === 'media-source' && s.kind === 'audio') source = s;
    }
    if (!out) return null;
    const lost = remote ? Math.max(0, remote.packetsLost || 0) : 0;
    const grown = growth.of(key, since, { ms: out.timestamp, bytes: out.bytesSent, packets: out.packetsSent, lost });
    const seconds = grown.ms / 1000;
    const roundTripTime = round1(remote && remote.roundTripTime ? remote.roundTripTime * 1000 : roundTripOf(report));
    const lostRate = percent(grown.lost, grown.packets);
    return {
      audio: {
        audioBitrate: seconds > 0 ? round1((grown.bytes * 8) / 1000 / seconds) : 0,
        audioFPS: seconds > 0 ? round1(grown.packets / seconds) : 0,
        ...codecOf(report, out),
        audioJitter: remote && remote.jitter ? round1(remote.jitter * 1000) : 0,
        audioLevel: source && source.audioLevel ? source.audioLevel : 0,
        audioPacketsLost: lost,
        audioPacketsLostRate: lostRate,
        audioPacketsRetransmitted: out.retransmittedPacketsSent || 0,
        audioQuality: grade(lostRate, roundTripTime),
        muteState: muted ? '1' : '0',
      },
      video: { ...NO_VIDEO },
      roundTripTime,
      packetsLostRate: lostRate,
      totalRoundTripTime: roundTripTime,
    };
  }

  /** ZegoPlayStats out of one inbound-rtp entry of a report. */
  function playStats(report, s, growth, key, { muted, since }) {
    const lost = Math.max(0, s.packetsLost || 0);
    const grown = growth.of(key, since, {
      ms: s.timestamp, bytes: s.bytesReceived, packets: s.packetsReceived, lost,
      samples: s.totalSamplesReceived, concealed: (s.concealedSamples || 0) - (s.silentConcealedSamples || 0),
      delay: s.jitterBufferDelay, emitted: s.jitterBufferEmittedCount,
    });
    const seconds = grown.ms / 1000;
    const roundTrip = roundTripOf(report);
    const buffered = grown.emitted > 0 ? (grown.delay / grown.emitted) * 1000 : 0;
    const lostRate = percent(grown.lost, grown.lost + grown.packets);
    return {
      audio: {
        audioBitrate: seconds > 0 ? round1((grown.bytes * 8) / 1000 / seconds) : 0,
        audioFPS: seconds > 0 ? round1(grown.packets / seconds) : 0,
        ...codecOf(report, s),
        audioJitter: round1((s.jitter || 0) * 1000),
        audioLevel: s.audioLevel || 0,
        audioPacketsLost: lost,
        audioPacketsLostRate: lostRate,
        audioCumulativeBreakRate: percent(grown.concealed, grown.samples),
        audioBufferDelay: round1(buffered),
        audioNackCount: s.nackCount || 0,
        audioQuality: grade(lostRate, roundTrip),
        muteState: muted ? '1' : '0',
      },
      video: { ...NO_VIDEO },
      roundTripTime: round1(roundTrip),
      peerToPeerDelay: round1(roundTrip + buffered),
      peerToPeerPacketLostRate: lostRate,
    };
  }

  /** Linear level (0 to 1) as ZEGO's 0 to 100: −60 dBov and less is 0, full scale 100. */
  function soundLevel(level) {
    if (!(level > 0)) return 0;
    return Math.round(Math.min(100, Math.max(0, 100 + (20 * Math.log10(level) * 100) / 60)));
  }

  function newPeerConnection() {
    return new root.RTCPeerConnection({ iceServers: [], bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' });
  }

  function closePeerConnection(pc) {
    if (!pc) return;
    pc.onconnectionstatechange = null;
    pc.close();
  }

  // ---------------------------------------------------------------- publishing

  /** One published stream. It lives from the start to the stop, across reconnections. */
  class Publisher {
    #room;
    #capture;
    #options;
    #onEnd;
    #pc = null;
    #round = 0;
    #ended = false;
    #wasConnected = false;
    #timer = 0;
    #settle;
    streamID;
    state = 'NO_PUBLISH';
    since = 0; // of PUBLISHING, ms
    muted = false;
    extraInfo;
    /** @type {MediaStream|null} */
    stream = null;
    /** Resolves with the first PUBLISHING or a stop, rejects with a failure. */
    started;

    /**
     * @param {Room} room
     * @param {string} streamID
     * @param {() => Promise<MediaStream>} capture where the sound comes from
     * @param {{extraInfo?: string, enableDTX?: boolean, audioBitrate?: number}} options
     * @param {() => void} onEnd called once, after the last state
     */
    constructor(room, streamID, capture, options, onEnd) {
      this.#room = room;
      this.streamID = streamID;
      this.#capture = capture;
      this.#options = options;
      this.#onEnd = onEnd;
      this.extraInfo = options.extraInfo || '';
      this.started = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
      this.started.catch(() => {}); // the state event tells those who do not wait
    }

    async start() {
      this.#setState('PUBLISH_REQUESTING', 0, '');
      if (this.#ended) return; // a callback has stopped it
      try {
        const stream = await this.#capture();
        if (this.#ended) return;
        if (!stream || stream.getAudioTracks().length === 0) throw new ZegoError(Code.BAD_STREAM, 'the stream has no audio');
        this.stream = stream;
        this.mute(this.muted);
      } catch (e) {
        this.fail(asZegoError(e, Code.MICROPHONE_FAILED));
        return;
      }
      if (this.#room.wire) this.negotiate();
    }

    /** Offers the stream to the server, on a connection of its own. Replaces an earlier one. */
    negotiate() {
      if (!this.stream || this.#ended) return;
      const round = ++this.#round;
      const wire = this.#room.wire;
      const current = () => round === this.#round && wire === this.#room.wire;
      this.#room.publishing.add(async () => {
        if (!current()) return;
        try {
          await this.#offer(wire, current);
        } catch (e) {
          if (current()) this.fail(asZegoError(e, Code.PUBLISH_SDP));
        }
      });
    }

    async #offer(wire, current) {
      closePeerConnection(this.#pc);
      const pc = (this.#pc = newPeerConnection());
      this.#wasConnected = false;
      pc.onconnectionstatechange = () => this.#connectionChanged(pc);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.fail(new ZegoError(Code.PUBLISH_CONNECT, 'no media connection')), MEDIA_TIMEOUT);
      const track = this.stream.getAudioTracks()[0];
      pc.addTransceiver(track, { direction: 'sendonly', streams: [this.stream] });
      const stereo = track.getSettings && track.getSettings().channelCount === 2;
      const offer = await pc.createOffer();
      const sdp = setOpusParameters(askForNACK(offer.sdp), { useinbandfec: 1, 'sprop-stereo': stereo ? 1 : null });
      if (!current()) return;
      await setLocalDescription(pc, offer, sdp);
      if (!current()) return;
      const params = { streamID: this.streamID, extraInfo: this.extraInfo, sdp };
      const answer = await wire.call('startPublishing', params);
      if (!current()) return;
      // What the answer says of Opus is what the browser's encoder follows.
      await pc.setRemoteDescription({
        type: 'answer',
        sdp: setOpusParameters(askForNACK(answer.sdp), {
          useinbandfec: 1,
          stereo: stereo ? 1 : 0,
          usedtx: this.#options.enableDTX ? 1 : 0,
          maxaveragebitrate: this.#options.audioBitrate ? this.#options.audioBitrate * 1000 : null,
        }),
      });
    }

    #connectionChanged(pc) {
      if (pc !== this.#pc || !this.#room.wire) return;
      if (pc.connectionState === 'connected') {
        clearTimeout(this.#timer);
        this.#wasConnected = true;
        this.#setState('PUBLISHING', 0, '');
        this.#settle.resolve();
      } else if (pc.connectionState === 'failed') {
        if (this.#wasConnected) this.#room.recover();
        else this.fail(new ZegoError(Code.PUBLISH_CONNECT, 'the media connection failed'));
      }
    }

    /** The server lost the media and waits for a new offer. */
    restart(errorCode, extendedData) {
      this.#setState('PUBLISH_REQUESTING', errorCode, extendedData);
      this.negotiate();
    }

    /** The room's connection was lost; the media may still flow. */
    suspend() {
      clearTimeout(this.#timer);
      this.#setState('PUBLISH_REQUESTING', Code.PUBLISH_SOCKET, 'the connection was lost');
    }

    mute(muted) {
      this.muted = muted;
      if (this.stream) for (const track of this.stream.getAudioTracks()) track.enabled = !muted;
    }

    stop() {
      this.#end(0, '');
      this.#settle.resolve();
    }

    fail(error) {
      if (this.#ended) return;
      this.#end(error.errorCode, error.extendedData);
      this.#settle.reject(error);
    }

    #end(errorCode, extendedData) {
      if (this.#ended) return;
      this.#ended = true;
      const asked = this.#round > 0;
      this.#round++;
      clearTimeout(this.#timer);
      closePeerConnection(this.#pc);
      this.#pc = null;
      this.#room.publishers.delete(this.streamID);
      // The server may hold it even after a failure, when only the media failed.
      if (asked) this.#room.tell(this.#room.publishing, 'stopPublishing', { streamID: this.streamID });
      this.#setState('NO_PUBLISH', errorCode, extendedData);
      this.#onEnd();
    }

    #setState(state, errorCode, extendedData) {
      if (this.state === state && errorCode === 0) return;
      this.state = state;
      if (state === 'PUBLISHING') this.since = Date.now();
      this.#room.engine.emit('publisherStateUpdate', { streamID: this.streamID, state, errorCode, extendedData });
    }

    async report() {
      return this.#pc && this.state === 'PUBLISHING' ? this.#pc.getStats() : null;
    }
  }

  // ---------------------------------------------------------------- playing

  /** One played stream; its MediaStream stays the same across reconnections. */
  class Played {
    state = 'NO_PLAY';
    since = 0; // of PLAYING, ms
    asked = null; // the wire on which the server was asked for it
    track = null;
    bound = null; // the media connection that track belongs to
    media = null;
    muted = false;
    timer = 0;

    constructor(streamID, onEnd, onTrack) {
      this.streamID = streamID;
      this.onEnd = onEnd;
      this.onTrack = onTrack;
      this.started = new Promise((resolve, reject) => (this.settle = { resolve, reject }));
      this.started.catch(() => {});
    }
  }

  /** Everything that a login plays: the server offers, one offer at a time, in order. */
  class Players {
    #room;
    #entries = new Map();
    #pc = null;
    #origin = ''; // of the server's end of it
    #wasConnected = false;
    #flushing = false;
    #stops = new Set();
    #calls = new Line();
    #offers = new Line();

    constructor(room) {
      this.#room = room;
    }

    get(streamID) {
      return this.#entries.get(streamID);
    }

    get size() {
      return this.#entries.size;
    }

    /**
     * @param {string} streamID
     * @param {() => void} onEnd called once, after the last state
     * @param {() => void} onTrack called when another track carries the stream
     * @returns {Promise<MediaStream>}
     */
    play(streamID, onEnd, onTrack) {
      if (this.#entries.has(streamID)) {
        return Promise.reject(new ZegoError(Code.ALREADY_PLAYING, `stream ${streamID} is played already`));
      }
      const entry = new Played(streamID, onEnd, onTrack);
      this.#entries.set(streamID, entry);
      this.#watch(entry);
      this.#setState(entry, 'PLAY_REQUESTING', 0, '');
      this.#flush();
      return entry.started;
    }

    stop(streamID, error) {
      const entry = this.#entries.get(streamID);
      if (!entry) return;
      this.#entries.delete(streamID);
      clearTimeout(entry.timer);
      if (entry.asked) this.#stops.add(streamID);
      this.#setState(entry, 'NO_PLAY', error ? error.errorCode : 0, error ? error.extendedData : '');
      entry.settle.reject(error || new ZegoError(Code.STREAM_MISSING, `playing ${streamID} was stopped`));
      entry.onEnd();
      this.#flush();
    }

    stopAll() {
      for (const streamID of [...this.#entries.keys()]) this.stop(streamID);
      closePeerConnection(this.#pc);
      this.#pc = null;
    }

    mute(streamID, muted) {
      const entry = this.#entries.get(streamID);
      if (!entry) return false;
      entry.muted = muted;
      if (entry.track) entry.track.enabled = !muted;
      return true;
    }

    suspend() {
      for (const entry of this.#entries.values()) {
        clearTimeout(entry.timer);
        this.#setState(entry, 'PLAY_REQUESTING', Code.RETRYING, 'the connection was lost');
      }
    }

    /** The server lost the media connection, and with it this stream. */
    restart(streamID, extendedData) {
      const entry = this.#entries.get(streamID);
      if (!entry) return;
      entry.asked = null;
      entry.bound = null;
      this.#watch(entry);
      this.#setState(entry, 'PLAY_REQUESTING', Code.PLAY_INTERRUPTED, extendedData);
      this.#flush();
    }

    /** A new wire stands: the server makes the media connection anew. */
    resume() {
      closePeerConnection(this.#pc);
      this.#pc = null;
      this.#stops.clear();
      for (const entry of this.#entries.values()) this.#watch(entry);
      this.#flush();
    }

    #watch(entry) {
      clearTimeout(entry.timer);
      entry.timer = setTimeout(() => {
        this.stop(entry.streamID, new ZegoError(Code.PLAY_CONNECT, 'no media connection'));
      }, MEDIA_TIMEOUT);
    }

    /** Asks the server for all that changed in this turn with one call. */
    #flush() {
      if (this.#flushing) return;
      this.#flushing = true;
      this.#calls.add(async () => {
        this.#flushing = false;
        const wire = this.#room.wire;
        if (!wire) return;
        const stops = [...this.#stops];
        this.#stops.clear();
        if (stops.length > 0) await wire.call('stopPlaying', { streamIDs: stops }).catch(() => {});
        const entries = [...this.#entries.values()].filter((e) => e.asked !== wire);
        if (entries.length > 0) await this.#ask(wire, entries);
      });
    }

    async #ask(wire, entries) {
      for (const entry of entries) entry.asked = wire;
      try {
        await wire.call('startPlaying', { streamIDs: entries.map((e) => e.streamID) });
      } catch (e) {
        if (wire !== this.#room.wire) return; // asked again on the next wire
        if (entries.length > 1) {
          // One bad stream must not take the others along.
          for (const entry of entries) if (this.#entries.get(entry.streamID) === entry) await this.#ask(wire, [entry]);
        } else if (this.#entries.get(entries[0].streamID) === entries[0]) {
          if (e.errorCode === Code.ALREADY_PLAYING) return;
          entries[0].asked = null; // the server does not hold it
          this.stop(entries[0].streamID, e);
        }
      }
    }

    /** Takes one offer of the server: the whole list of what this login plays. */
    offer(wire, { sdp, streams }) {
      this.#offers.add(async () => {
        if (wire !== this.#room.wire) return;
        const origin = originOf(sdp);
        if (!this.#pc || origin !== this.#origin) this.#connect(origin);
        const pc = this.#pc;
        const current = () => pc === this.#pc && wire === this.#room.wire;
        try {
          await pc.setRemoteDescription({ type: 'offer', sdp });
          if (!current()) return;
          const answer = await pc.createAnswer();
          const text = setOpusParameters(askForNACK(answer.sdp), { stereo: 1, useinbandfec: 1 });
          if (!current()) return;
          await setLocalDescription(pc, answer, text);
          if (!current()) return;
          this.#bind(pc, streams || {});
          await wire.call('answer', { sdp: text });
          if (current() && pc.connectionState === 'connected') this.#playing();
        } catch (e) {
          if (!current()) return;
          for (const entry of [...this.#entries.values()]) {
            if (entry.state !== 'PLAYING') this.stop(entry.streamID, asZegoError(e, Code.PLAY_SDP));
          }
        }
      });
    }

    #connect(origin) {
      closePeerConnection(this.#pc);
      const pc = (this.#pc = newPeerConnection());
      this.#origin = origin;
      this.#wasConnected = false;
      pc.onconnectionstatechange = () => {
        if (pc !== this.#pc) return;
        if (pc.connectionState === 'connected') {
          this.#wasConnected = true;
          if (pc.signalingState === 'stable') this.#playing();
        } else if (pc.connectionState === 'failed' && this.#wasConnected) {
          this.#room.recover();
        } else if (pc.connectionState === 'failed') {
          for (const streamID of [...this.#entries.keys()]) {
            this.stop(streamID, new ZegoError(Code.PLAY_CONNECT, 'the media connection failed'));
          }
        }
      };
    }

    #bind(pc, streams) {
      const tracks = new Map();
      for (const transceiver of pc.getTransceivers()) tracks.set(streams[transceiver.mid], transceiver.receiver.track);
      for (const entry of this.#entries.values()) {
        const track = tracks.get(entry.streamID);
        entry.bound = track ? pc : null;
        if (!track || track === entry.track) continue;
        track.enabled = !entry.muted;
        if (!entry.media) {
          entry.media = new root.MediaStream([track]);
        } else {
          for (const old of entry.media.getAudioTracks()) entry.media.removeTrack(old);
          entry.media.addTrack(track);
        }
        const replaced = entry.track !== null;
        entry.track = track;
        if (!replaced) continue;
        entry.onTrack();
        this.#room.engine.emit('playerAudioTrackUpdate', entry.streamID, track);
      }
    }

    #playing() {
      for (const entry of [...this.#entries.values()]) {
        if (entry.bound !== this.#pc || entry.asked !== this.#room.wire || entry.state === 'PLAYING') continue;
        clearTimeout(entry.timer);
        this.#setState(entry, 'PLAYING', 0, '');
        entry.settle.resolve(entry.media);
      }
    }

    #setState(entry, state, errorCode, extendedData) {
      if (entry.state === state && errorCode === 0) return;
      entry.state = state;
      if (state === 'PLAYING') entry.since = Date.now();
      this.#room.engine.emit('playerStateUpdate', { streamID: entry.streamID, state, errorCode, extendedData });
    }

    /** The report of the connection and, for each playing stream, its inbound entry. */
    async report() {
      if (!this.#pc || this.#entries.size === 0) return null;
      const report = await this.#pc.getStats();
      const byTrack = new Map();
      for (const s of report.values()) if (s.type === 'inbound-rtp' && s.kind === 'audio') byTrack.set(s.trackIdentifier, s);
      const streams = [];
      for (const entry of this.#entries.values()) {
        const s = entry.track && byTrack.get(entry.track.id);
        if (s && entry.state === 'PLAYING') streams.push({ entry, s });
      }
      return { report, streams };
    }
  }

  // ---------------------------------------------------------------- the room

  const KICKED = 'KICKOUT';

  /** One login of one room, from loginRoom until DISCONNECTED. */
  class Room {
    engine;
    roomID;
    user;
    token;
    /** The standing connection; null while it is being made or made again. */
    wire = null;
    /** @type {Map<string, Publisher>} */
    publishers = new Map();
    publishing = new Line();
    players = new Players(this);
    state = 'DISCONNECTED';
    #addresses;
    #config;
    #retryTime;
    #sessionID = '';
    #users = new Map();
    #streams = new Map();
    #ended = false;
    #opening = null;
    #wake = null;
    #heartbeat = 0;
    #look = () => this.#probe();
    #leave = () => this.engine.logoutRoom(this.roomID);

    constructor(engine, addresses, retryTime, { roomID, token, user, config }) {
      this.engine = engine;
      this.#addresses = addresses;
      this.#retryTime = retryTime;
      this.roomID = roomID;
      this.token = token;
      this.user = { userID: user.userID, userName: user.userName === undefined ? '' : String(user.userName) };
      this.#config = {
        userUpdate: Boolean(config && (config.userUpdate || config.isUserStatusNotify)),
        maxMemberCount: Number((config && config.maxMemberCount) || 0),
      };
    }

    async login() {
      this.#setState('CONNECTING', 0, '', 'LOGINING');
      try {
        await this.#connect('LOGINED');
      } catch (e) {
        const error = asZegoError(e, Code.SERVER_ERROR);
        this.#end(error.errorCode, error.extendedData, 'LOGIN_FAILED');
        throw error;
      }
      if (this.#ended) throw new ZegoError(Code.NOT_LOGGED_IN, 'logged out while logging in');
      if (root.addEventListener) {
        root.addEventListener('online', this.#look);
        root.addEventListener('pagehide', this.#leave);
      }
      return true;
    }

    logout() {
      if (this.#ended) return;
      const wire = this.wire;
      this.#end(0, '', 'LOGOUT', () => {
        if (wire) wire.call('logoutRoom', { roomID: this.roomID }, 1000).catch(() => {}).then(() => wire.close());
      });
    }

    /** @returns {Promise<any>} */
    call(method, params) {
      if (!this.wire) return Promise.reject(new ZegoError(Code.RETRYING, 'the connection is being made again'));
      return this.wire.call(method, params);
    }

    /** Sends in its turn what needs no answer. */
    tell(line, method, params) {
      const wire = this.wire;
      if (wire) line.add(() => (wire === this.wire ? wire.call(method, params) : undefined));
    }

    /** The media connection died under a living wire: both are made anew. */
    recover() {
      if (this.wire) this.wire.abandon();
    }

    async #connect(reason) {
      let error;
      for (const address of this.#addresses) {
        let wire;
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
          if (wire) wire.close();
          error = e;
          if (!TRANSIENT.has(e.errorCode)) break; // another address would say the same
        }
      }
      if (this.#ended) {
        if (this.#opening) this.#opening.close();
        throw new ZegoError(Code.NOT_LOGGED_IN, 'logged out while logging in');
      }
      throw error.errorCode === Code.CALL_TIMEOUT ? new ZegoError(Code.LOGIN_TIMEOUT, error.extendedData) : error;
    }

    #connected(wire, result, reason) {
      this.wire = wire;
      this.#sessionID = result.sessionID || '';
      clearInterval(this.#heartbeat);
      this.#heartbeat = setInterval(() => {
        if (Date.now() - wire.heard > SILENCE_LIMIT) this.#probe();
      }, SILENCE_LIMIT / 3);
      const here = () => this.wire === wire; // a callback may log out
      this.#setState('CONNECTED', 0, '', reason);
      if (here()) this.#usersAre(result.users || []);
      if (here()) this.#streamsAre(result.streams || []);
      if (!here()) return;
      for (const publisher of this.publishers.values()) publisher.negotiate();
      this.players.resume();
      wire.release((method, params) => {
        if (here()) this.#notice(wire, method, params);
      }, () => {
        if (here()) this.#dropped();
      });
    }

    #dropped() {
      this.wire = null;
      clearInterval(this.#heartbeat);
      this.#setState('CONNECTING', Code.RETRYING, 'the connection was lost', 'RECONNECTING');
      for (const publisher of [...this.publishers.values()]) publisher.suspend();
      this.players.suspend();
      if (!this.#ended) this.#reconnect();
    }

    async #reconnect() {
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

    /** Waits; `online` and a logout cut it short. */
    #pause(ms) {
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }

    /** Finds out whether the server is still there: any answer will do. */
    #probe() {
      if (this.#wake) this.#wake();
      const wire = this.wire;
      if (!wire) return;
      const asked = Date.now();
      wire.call('ping', {}, PROBE_TIMEOUT).catch(() => {
        if (wire === this.wire && wire.heard < asked) wire.abandon();
      });
    }

    #end(errorCode, extendedData, reason, farewell = () => {}) {
      if (this.#ended) return;
      this.#ended = true;
      for (const publisher of [...this.publishers.values()]) publisher.stop();
      this.players.stopAll();
      const wire = this.wire;
      this.wire = null;
      clearInterval(this.#heartbeat);
      if (this.#wake) this.#wake();
      if (this.#opening) this.#opening.close();
      if (root.removeEventListener) {
        root.removeEventListener('online', this.#look);
        root.removeEventListener('pagehide', this.#leave);
      }
      if (reason === 'LOGOUT') farewell();
      else if (wire) wire.close();
      this.engine.left(this);
      this.#setState('DISCONNECTED', errorCode, extendedData, reason);
    }

    #setState(state, errorCode, extendedData, reason) {
      this.state = state;
      this.engine.emit('roomStateUpdate', this.roomID, state, errorCode, extendedData);
      this.engine.emit('roomStateChanged', this.roomID, reason, errorCode, extendedData);
    }

    // What the server tells.

    #notice(wire, method, params) {
      const { engine, roomID } = this;
      switch (method) {
        case 'roomStateUpdate':
          // The other states are this side's to tell.
          if (params.state === 'DISCONNECTED') this.#end(params.errorCode || 0, params.extendedData || '', KICKED);
          break;
        case 'roomUserUpdate':
          this.#usersChanged(params.updateType, params.userList || []);
          break;
        case 'roomStreamUpdate':
          this.#streamsChanged(params.updateType, params.streamList || [], params.extendedData || '');
          break;
        case 'streamExtraInfoUpdate':
          this.#extraInfoChanged(params.streamList || []);
          break;
        case 'roomExtraInfoUpdate':
          engine.emit(method, roomID, params.roomExtraInfoList || []);
          break;
        case 'roomOnlineUserCountUpdate':
          engine.emit(method, roomID, params.count);
          break;
        case 'publisherStateUpdate':
          this.#publisherTold(params);
          break;
        case 'playerStateUpdate':
          this.#playerTold(params);
          break;
        case 'tokenWillExpire':
          engine.emit(method, roomID);
          break;
        case 'IMRecvBroadcastMessage':
          engine.emit(method, roomID, params.list || []);
          break;
        case 'offer':
          this.players.offer(wire, params);
          break;
        default: // roomSoundLevel and what later servers may add
      }
    }

    #publisherTold({ streamID, state, errorCode, extendedData }) {
      const publisher = this.publishers.get(streamID);
      if (!publisher || !errorCode) return;
      if (state === 'NO_PUBLISH') publisher.fail(new ZegoError(errorCode, extendedData || ''));
      if (state === 'PUBLISH_REQUESTING') publisher.restart(errorCode, extendedData || '');
    }

    #playerTold({ streamID, state, errorCode, extendedData }) {
      if (state !== 'NO_PLAY' || !errorCode) return; // stops and successes are known here
      if (errorCode === Code.PLAY_INTERRUPTED) this.players.restart(streamID, extendedData || '');
      else this.players.stop(streamID, new ZegoError(errorCode, extendedData || ''));
    }

    #usersAre(list) {
      const now = new Set(list.map((u) => u.userID));
      this.#usersChanged('DELETE', [...this.#users.values()].filter((u) => !now.has(u.userID)));
      this.#usersChanged('ADD', list);
    }

    #usersChanged(updateType, list) {
      const others = list.filter((u) => u.userID !== this.user.userID);
      const changed = others.filter((u) => this.#users.has(u.userID) === (updateType === 'DELETE'));
      for (const u of changed) {
        if (updateType === 'ADD') this.#users.set(u.userID, u);
        else this.#users.delete(u.userID);
      }
      if (changed.length > 0 && this.#config.userUpdate) this.engine.emit('roomUserUpdate', this.roomID, updateType, changed);
    }

    /** The list after a login: what is told is what changed since the connection was lost. */
    #streamsAre(list) {
      const now = new Set(list.map((s) => s.streamID));
      const gone = [...this.#streams.values()].filter((s) => !now.has(s.streamID));
      const other = list.filter((s) => {
        const before = this.#streams.get(s.streamID);
        return before && before.user.userID === s.user.userID && before.extraInfo !== s.extraInfo;
      });
      this.#streamsChanged('DELETE', gone, JSON.stringify({ stream_delete_reason: gone.map(() => ({ code: 5 })) }));
      this.#streamsChanged('ADD', list, '');
      this.#extraInfoChanged(other);
    }

    #streamsChanged(updateType, list, extendedData) {
      const others = list.filter((s) => !s.user || s.user.userID !== this.user.userID);
      const changed = others.filter((s) => this.#streams.has(s.streamID) === (updateType === 'DELETE'));
      if (changed.length === 0) return;
      for (const s of changed) {
        if (updateType === 'ADD') this.#streams.set(s.streamID, s);
        else this.#streams.delete(s.streamID);
      }
      this.engine.emit('roomStreamUpdate', this.roomID, updateType, changed.map(asListed), extendedData);
      if (updateType !== 'DELETE') return;
      // A program that leaves a deleted stream playing would play nothing.
      for (const s of changed) {
        if (!this.#streams.has(s.streamID)) this.players.stop(s.streamID, new ZegoError(Code.STREAM_MISSING, 'the stream has ended'));
      }
    }

    #extraInfoChanged(list) {
      const known = list.filter((s) => this.#streams.has(s.streamID));
      for (const s of known) this.#streams.set(s.streamID, { ...this.#streams.get(s.streamID), extraInfo: s.extraInfo });
      if (known.length > 0) this.engine.emit('streamExtraInfoUpdate', this.roomID, known.map(asListed));
    }
  }

  function asListed({ streamID, user, extraInfo }) {
    return { streamID, user, extraInfo: extraInfo || '', urlsFLV: '', urlsRTMP: '', urlsHLS: '', urlsHttpsFLV: '', urlsHttpsHLS: '' };
  }

  // ---------------------------------------------------------------- the microphone

  const MICROPHONE_CODES = {
    NotAllowedError: Code.MICROPHONE_DENIED,
    SecurityError: Code.MICROPHONE_DENIED,
    NotReadableError: Code.MICROPHONE_BUSY,
    AbortError: Code.MICROPHONE_BUSY,
    OverconstrainedError: Code.MICROPHONE_CONSTRAINTS,
    TypeError: Code.MICROPHONE_CONSTRAINTS,
  };

  /** Opens the microphone; AEC, ANS and AGC are on unless switched off. */
  async function openMicrophone({ audioInput, channelCount, AEC, ANS, AGC }) {
    const devices = root.navigator && root.navigator.mediaDevices;
    if (!devices || !devices.getUserMedia) {
      throw new ZegoError(Code.HTTPS_REQUIRED, 'the browser gives its microphone only to pages served by https or from localhost');
    }
    const audio = {
      echoCancellation: AEC !== false,
      noiseSuppression: ANS !== false,
      autoGainControl: AGC !== false,
      channelCount: channelCount || 1,
    };
    if (audioInput) audio.deviceId = { exact: audioInput };
    try {
      return await devices.getUserMedia({ audio, video: false });
    } catch (e) {
      throw new ZegoError(MICROPHONE_CODES[e.name] || Code.MICROPHONE_FAILED, `${e.name}: ${e.message}`);
    }
  }

  /** What createZegoStream returns. */
  class ZegoLocalStream {
    /** @param {MediaStream} stream */
    constructor(stream) {
      this.stream = stream;
    }
  }

  // ---------------------------------------------------------------- as in mini programs

  const PUSHER_DEFAULTS = Object.freeze({ enableCamera: true, enableMic: true });

  /** The one pusher of an engine: opens the microphone and publishes it. */
  class Pusher {
    #engine;
    #config;
    #stream = null;
    #streamID = '';

    constructor(engine, config) {
      this.#engine = engine;
      this.#config = { ...PUSHER_DEFAULTS, ...config };
      this.#show();
    }

    /**
     * Publishes the microphone as streamID; resolves when it is published.
     * A stop before that resolves too.
     */
    async start(streamID, options) {
      const room = this.#engine.room;
      if (!room) throw new ZegoError(Code.PUBLISH_PARAMETER, 'input param error room no found');
      checkStreamID(streamID);
      if (this.#streamID || room.publishers.has(streamID)) {
        throw new ZegoError(Code.ALREADY_PUBLISHING, `stream ${this.#streamID || streamID} is published already`);
      }
      this.#streamID = streamID;
      this.#config.id = streamID;
      this.#show();
      const { enableMic, enableAec, enableAns, enableAgc, audioInput, channelCount } = this.#config;
      let stopped = false;
      const capture = async () => {
        const stream = await openMicrophone({ audioInput, channelCount, AEC: enableAec, ANS: enableAns, AGC: enableAgc });
        if (stopped) stopTracks(stream);
        else this.#stream = stream;
        return stream;
      };
      const publisher = this.#engine.publish(streamID, capture, options, enableMic === false, () => {
        stopped = true;
        this.#reset();
      });
      return publisher.started;
    }

    /** Stops publishing and lets go of the microphone. */
    stop() {
      if (this.#streamID) this.#engine.stopPublishingStream(this.#streamID);
    }

    pause() {
      this.#mute(true);
    }

    resume() {
      this.#mute(false);
    }

    #mute(muted) {
      if (this.#streamID) this.#engine.mutePublishStreamAudio(this.#streamID, muted);
    }

    #reset() {
      if (this.#stream) stopTracks(this.#stream);
      this.#stream = null;
      this.#streamID = '';
      this.#config = { ...PUSHER_DEFAULTS }; // as the original: a stop forgets the configuration
      this.#show();
    }

    configure(config) {
      Object.assign(this.#config, config);
      this.#show();
    }

    #show() {
      this.#engine.show('pushAtr', { ...this.#config });
    }
  }

  /** Plays one stream through a hidden audio element. */
  class Player {
    #engine;
    #streamID;
    #element = null;
    #media = null;
    #playing = null;
    #muted = false;

    constructor(engine, streamID) {
      this.#engine = engine;
      this.#streamID = streamID;
    }

    /** Resolves when the sound plays; a stop before that resolves too. */
    play(options) {
      if (this.#playing) return this.#playing;
      const playing = this.#start(options);
      this.#playing = playing;
      playing.catch(() => {
        if (this.#playing === playing) this.#playing = null;
      });
      return playing;
    }

    async #start(options) {
      let stopped = false;
      const media = await this.#engine.play(this.#streamID, options, () => {
        stopped = true;
        this.#release();
      }, () => this.#attach()).catch((e) => {
        if (stopped && e.errorCode === Code.STREAM_MISSING) return null;
        throw e;
      });
      if (!media || stopped) return;
      if (this.#muted) this.#engine.mutePlayStreamAudio(this.#streamID, true);
      const element = root.document.createElement('audio');
      this.#element = element;
      element.autoplay = true;
      element.hidden = true;
      element.dataset.streamId = this.#streamID;
      this.#media = media;
      this.#attach();
      (root.document.body || root.document.documentElement).append(element);
      await untilPlaying(element, () => stopped);
    }

    /** Not every browser follows a MediaStream whose track is replaced. */
    #attach() {
      if (!this.#element) return;
      this.#element.srcObject = null;
      this.#element.srcObject = this.#media;
    }

    stop() {
      this.#engine.stopPlayingStream(this.#streamID);
      this.#release();
      this.#engine.forget(this.#streamID, this);
    }

    pause() {
      if (this.#element) this.#element.pause();
    }

    resume() {
      if (this.#element) this.#element.play().catch(() => {});
    }

    /** Without an argument it toggles, as in mini programs. */
    mute(muted) {
      this.#muted = typeof muted === 'boolean' ? muted : !this.#muted;
      this.#engine.mutePlayStreamAudio(this.#streamID, this.#muted).catch(() => {});
    }

    #release() {
      this.#playing = null;
      if (!this.#element) return;
      this.#element.srcObject = null;
      this.#element.remove();
      this.#element = null;
      this.#media = null;
    }
  }

  /** A browser that wants a gesture first gets to play at the next one. */
  async function untilPlaying(element, stopped) {
    for (;;) {
      try {
        await element.play();
        return;
      } catch (e) {
        if (stopped() || !element.srcObject) return;
        if (e.name !== 'NotAllowedError') throw new ZegoError(Code.PLAY_CONNECT, e.message);
        await new Promise((resolve) => {
          for (const name of ['pointerdown', 'keydown']) root.addEventListener(name, resolve, { once: true, capture: true });
        });
      }
    }
  }

  function stopTracks(stream) {
    for (const track of stream.getTracks()) track.stop();
  }

  // ---------------------------------------------------------------- the engine

  class ZegoExpressEngine {
    #appID;
    #addresses;
    #retryTime = RETRY_TIME;
    #emitter = new Emitter([...EVENTS, ...SILENT_EVENTS]);
    #room = null;
    #pusher = null;
    #players = new Map();
    #playerAttributes = new Map();
    #context = null;
    #local = new Set();
    #bitrates = new WeakMap(); // kbit/s by MediaStream
    #growth = new Growth();
    #qualityTimer = 0;
    #levelTimer = 0;
    #destroyed = false;

    /**
     * @param {number} appID
     * @param {string|string[]} server address(es) of the room service: ws, wss, or the origin that serves it
     * @param {object} [options] accepted for programs that pass a scenario
     */
    constructor(appID, server, options) {
      this.#appID = Number(appID);
      this.#addresses = socketAddresses(server);
      void options;
    }

    get appID() {
      return this.#appID;
    }

    // For the classes above; no part of the interface.

    get room() {
      return this.#room;
    }

    emit(name, ...args) {
      this.#emitter.emit(name, ...args);
    }

    left(room) {
      if (this.#room !== room) return;
      this.#room = null;
      this.#restQuality();
    }

    // Events.

    on(name, callback) {
      return this.#emitter.on(name, callback);
    }

    off(name, callback) {
      return this.#emitter.off(name, callback);
    }

    // The room.

    loginRoom(roomID, token, user, config) {
      try {
        if (this.#destroyed) throw new ZegoError(Code.NOT_LOGGED_IN, 'the engine is destroyed');
        checkLogin(roomID, token, user);
        if (this.#room) throw new ZegoError(Code.ALREADY_LOGGED_IN, `room ${this.#room.roomID} is not logged out`);
      } catch (e) {
        return Promise.reject(e);
      }
      this.#room = new Room(this, this.#addresses, this.#retryTime, { roomID, token, user, config });
      return this.#room.login();
    }

    logoutRoom(roomID) {
      if (this.#room && (roomID === undefined || roomID === this.#room.roomID)) this.#room.logout();
    }

    /** Returns whether the token looks like one; the server's word on it comes at the next login. */
    renewToken(token, roomID) {
      if (typeof token !== 'string' || !/^04[0-9A-Za-z+/]+=*$/.test(token)) return false;
      const room = this.#room;
      if (!room || (roomID !== undefined && roomID !== room.roomID)) return false;
      const before = room.token;
      room.token = token;
      room.call('renewToken', { roomID: room.roomID, token }).catch((e) => {
        // A connection that is being made anew will log in with it.
        if (TRANSIENT.has(e.errorCode)) return;
        room.token = before;
        console.warn(`renewToken: ${e.errorCode} ${e.extendedData}`);
      });
      return true;
    }

    sendBroadcastMessage(roomID, message) {
      return this.#ask(roomID, 'sendBroadcastMessage', { roomID, message });
    }

    setStreamExtraInfo(streamID, extraInfo) {
      const publisher = this.#room && this.#room.publishers.get(streamID);
      if (!publisher) return Promise.reject(new ZegoError(Code.NOT_PUBLISHING, `stream ${streamID} is not published here`));
      if (!this.#room.wire) {
        publisher.extraInfo = extraInfo; // goes with the stream when it is published again
        return Promise.resolve({ errorCode: 0, extendedData: '' });
      }
      return this.#ask(undefined, 'setStreamExtraInfo', { streamID, extraInfo }).then((answer) => {
        publisher.extraInfo = extraInfo;
        return answer;
      });
    }

    async #ask(roomID, method, params) {
      const room = this.#room;
      if (!room || (roomID !== undefined && roomID !== room.roomID)) throw new ZegoError(Code.NOT_LOGGED_IN, 'not logged in');
      await room.call(method, params);
      return { errorCode: 0, extendedData: '' };
    }

    // Local streams.

    /** Opens the microphone, or takes the sound of custom.source. */
    async createStream(options = {}) {
      const custom = options.custom && (options.custom.source || (options.custom.audio && options.custom.audio.source));
      if (custom) {
        const source = custom.captureStream ? custom.captureStream() : custom;
        return new root.MediaStream(source.getAudioTracks());
      }
      if (options.screen) throw new ZegoError(Code.BAD_PARAMETER, 'this service carries sound only: no screen');
      const camera = options.camera || {};
      if (camera.audio === false) throw new ZegoError(Code.BAD_PARAMETER, 'this service carries sound only: audio cannot be off');
      const stream = await openMicrophone({ ...camera, ...(typeof camera.audio === 'object' ? asMicrophone(camera.audio) : {}) });
      this.#local.add(stream);
      this.#bitrates.set(stream, camera.audioBitrate || options.audioBitrate);
      return stream;
    }

    async createZegoStream(options) {
      return new ZegoLocalStream(await this.createStream(options));
    }

    destroyStream(stream) {
      const media = stream instanceof ZegoLocalStream ? stream.stream : stream;
      if (!media || !media.getTracks) return;
      this.#local.delete(media);
      stopTracks(media);
    }

    // Publishing.

    /** Starts publishing; publisherStateUpdate tells what becomes of it. */
    startPublishingStream(streamID, stream, options) {
      if (!this.#room) throw new ZegoError(Code.NOT_LOGGED_IN, 'not logged in');
      checkStreamID(streamID);
      const media = stream instanceof ZegoLocalStream ? stream.stream : stream;
      if (!media || !media.getAudioTracks) throw new ZegoError(Code.BAD_STREAM, 'no local stream is given');
      if (this.#room.publishers.has(streamID)) return false;
      this.publish(streamID, async () => media, { audioBitrate: this.#bitrates.get(media), ...options }, false, () => {});
      return true;
    }

    publish(streamID, capture, options, muted, onEnd) {
      const room = this.#room;
      const publisher = new Publisher(room, streamID, capture, options || {}, () => {
        this.#growth.forget(`push ${streamID}`);
        onEnd();
      });
      publisher.muted = muted;
      room.publishers.set(streamID, publisher);
      this.#watchQuality();
      publisher.start();
      return publisher;
    }

    stopPublishingStream(streamID) {
      const publisher = this.#room && this.#room.publishers.get(streamID);
      if (!publisher) return false;
      publisher.stop();
      return true;
    }

    /** (mute), (streamID, mute) or (stream, mute): the forms of both SDKs. */
    mutePublishStreamAudio(which, mute) {
      const muted = Boolean(arguments.length > 1 ? mute : which);
      const media = which instanceof ZegoLocalStream ? which.stream : which;
      let found = false;
      for (const publisher of this.#room ? this.#room.publishers.values() : []) {
        if (arguments.length > 1 && which !== publisher.streamID && media !== publisher.stream) continue;
        publisher.mute(muted);
        found = true;
      }
      return found;
    }

    // Playing.

    /** @returns {Promise<MediaStream>} */
    startPlayingStream(streamID, options) {
      return this.play(streamID, options, () => {}, () => {});
    }

    play(streamID, options, onEnd, onTrack) {
      void options;
      if (!this.#room) return Promise.reject(new ZegoError(Code.NOT_LOGGED_IN, 'not logged in'));
      try {
        checkStreamID(streamID);
      } catch (e) {
        return Promise.reject(e);
      }
      const started = this.#room.players.play(streamID, () => {
        this.#growth.forget(`pull ${streamID}`);
        onEnd();
      }, onTrack);
      this.#watchQuality();
      return started;
    }

    stopPlayingStream(streamID) {
      if (this.#room) this.#room.players.stop(streamID);
    }

    async mutePlayStreamAudio(streamID, mute) {
      return this.#room ? this.#room.players.mute(streamID, Boolean(mute)) : false;
    }

    // As in mini programs.

    initContext({ wxContext, pushAtr, playAtr } = {}) {
      this.#context = { wxContext, pushAtr: pushAtr || 'pusher', playAtr: playAtr || 'playerList' };
    }

    /** In a mini program initContext comes first; a browser has no context to give. */
    get #hasContext() {
      return this.#context !== null || typeof root.wx !== 'object' || typeof root.wx.createLivePusherContext !== 'function';
    }

    /** The same pusher every time; config counts on the first call only. */
    createPusher(config) {
      if (!this.#hasContext) return null;
      if (!this.#pusher) this.#pusher = new Pusher(this, config);
      return this.#pusher;
    }

    getPusherInstance() {
      return this.createPusher();
    }

    getPlayerInstance(streamID, wxContext) {
      void wxContext;
      if (!this.#hasContext) return null;
      let player = this.#players.get(streamID);
      if (!player) {
        player = new Player(this, streamID);
        this.#players.set(streamID, player);
        this.#playerAttributes.set(streamID, { id: streamID });
        this.#showPlayers();
      }
      return player;
    }

    forget(streamID, player) {
      if (this.#players.get(streamID) !== player) return;
      this.#players.delete(streamID);
      this.#playerAttributes.delete(streamID);
      this.#showPlayers();
    }

    setPusherAttributes(config, callback) {
      if (this.#pusher) this.#pusher.configure(config);
      if (callback) callback();
    }

    setPlayerAttributes(streamID, config, callback) {
      const attributes = this.#playerAttributes.get(streamID);
      if (attributes) Object.assign(attributes, config);
      this.#showPlayers();
      if (callback) callback();
    }

    getPlayerList(streamID) {
      const all = [...this.#playerAttributes.values()].map((a) => ({ ...a }));
      return streamID === undefined ? all : all.filter((a) => a.id === streamID);
    }

    #showPlayers() {
      this.show('playAtr', this.getPlayerList());
    }

    /** Mirrors attributes into the page's data, as the original does. */
    show(name, value) {
      const context = this.#context;
      if (!context || !context.wxContext || typeof context.wxContext.setData !== 'function') return;
      context.wxContext.setData({ [context[name]]: value });
    }

    // A mini program forwards its components' events; this client sees its media itself.
    updatePlayerState() {}
    updatePlayerNetStatus() {}
    updateAudioVolumeNotify() {}

    // Figures.

    #watchQuality() {
      if (this.#room && !this.#qualityTimer) this.#qualityTimer = setInterval(() => this.#quality(), QUALITY_INTERVAL);
    }

    #restQuality() {
      clearInterval(this.#qualityTimer);
      this.#qualityTimer = 0;
    }

    async #quality() {
      const room = this.#room;
      if (!room || (room.publishers.size === 0 && room.players.size === 0)) {
        this.#restQuality();
        return;
      }
      for (const publisher of [...room.publishers.values()]) {
        const report = await publisher.report();
        const stats = report && publishStats(report, this.#growth, `push ${publisher.streamID}`, publisher);
        if (stats && publisher.state === 'PUBLISHING') this.emit('publishQualityUpdate', publisher.streamID, stats);
      }
      const played = await room.players.report();
      for (const { entry, s } of played ? played.streams : []) {
        const stats = playStats(played.report, s, this.#growth, `pull ${entry.streamID}`, entry);
        if (entry.state === 'PLAYING') this.emit('playQualityUpdate', entry.streamID, stats);
      }
    }

    /** Switches soundLevelUpdate; interval in ms, 100 to 3000. */
    setSoundLevelDelegate(on, interval = 1000) {
      clearInterval(this.#levelTimer);
      this.#levelTimer = on ? setInterval(() => this.#levels(), Math.min(3000, Math.max(100, interval))) : 0;
    }

    async #levels() {
      const room = this.#room;
      if (!room) return;
      const levels = [];
      for (const publisher of [...room.publishers.values()]) {
        const report = await publisher.report();
        for (const s of report ? report.values() : []) {
          if (s.type !== 'media-source' || s.kind !== 'audio') continue;
          levels.push({ streamID: publisher.streamID, soundLevel: publisher.muted ? 0 : soundLevel(s.audioLevel), type: 'push' });
        }
      }
      const captured = levels.length > 0 ? levels[0].soundLevel : null;
      const played = await room.players.report();
      for (const { entry, s } of played ? played.streams : []) {
        levels.push({ streamID: entry.streamID, soundLevel: entry.muted ? 0 : soundLevel(s.audioLevel), type: 'pull' });
      }
      if (levels.length > 0) this.emit('soundLevelUpdate', levels);
      if (captured !== null) this.emit('capturedSoundLevelUpdate', captured);
    }

    // The rest.

    async checkSystemRequirements() {
      const devices = root.navigator && root.navigator.mediaDevices;
      const webRTC = typeof root.RTCPeerConnection === 'function';
      const microphone = Boolean(devices && devices.getUserMedia);
      const errInfo = {};
      if (!webRTC) errInfo.extendedData = 'WebRTC is missing';
      else if (!microphone) errInfo.extendedData = 'no microphone: the page is served neither by https nor from localhost';
      const result = webRTC && microphone;
      const customCapture = typeof root.MediaStream === 'function';
      return {
        result, errInfo, webRTC, microphone, customCapture, camera: false, screenSharing: false, videoCodec: {},
        code: result ? 0 : webRTC ? 10002 : 10001,
        msg: errInfo.extendedData || '',
      };
    }

    /** Before a login: "room_retry_time=SECONDS". Others are accepted. */
    setEngineConfig(text) {
      const m = /^room_retry_time=(\d+)$/.exec(text);
      if (m) this.#retryTime = Number(m[1]);
    }

    setLogConfig() {
      return true;
    }

    setDebugVerbose() {}

    enableMultiRoom() {
      return false; // one engine, one room
    }

    getVersion() {
      return VERSION;
    }

    /** Logs out, lets go of microphone and timers, forgets the callbacks. */
    destroyEngine() {
      this.logoutRoom();
      this.#destroyed = true;
      for (const player of [...this.#players.values()]) player.stop();
      for (const stream of [...this.#local]) this.destroyStream(stream);
      this.setSoundLevelDelegate(false);
      this.#emitter.clear();
    }
  }

  /** {input, AEC, ANS, AGC, channelCount} of createZegoStream. */
  function asMicrophone({ input, ...rest }) {
    return input ? { ...rest, audioInput: input } : rest;
  }

  return ZegoExpressEngine;
});
