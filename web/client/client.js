/* Built by web/build.mjs from web/client/src: change it there. */
(function(global, factory) {
  typeof exports === "object" && typeof module !== "undefined" ? module.exports = factory() : typeof define === "function" && define.amd ? define(factory) : (global = typeof globalThis !== "undefined" ? globalThis : global || self, global.ZegoExpressEngine = factory());
})(this, (function() {
  "use strict";
  const Code = {
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
    RELAY_FAILED: 1003040,
    STREAM_MISSING: 1004002,
    PLAY_INTERRUPTED: 1004020,
    MIX_START: 1005010,
    MIX_STOP: 1005011,
    BAD_PARAMETER: 1100001,
    CALL_TIMEOUT: 1100002,
    SOCKET_CLOSED: 1100003,
    SERVER_ERROR: 1100999,
    HEARTBEAT_TIMEOUT: 1102001,
    PUBLISH_PARAMETER: 1103001,
    PUBLISH_CONNECT: 1103003,
    PUBLISH_NO_ADDRESS: 1103020,
    PUBLISH_SDP: 1103022,
    NOT_PUBLISHING: 1103040,
    PUBLISH_SOCKET: 1103050,
    PUBLISH_GAVE_UP: 1103051,
    HTTPS_REQUIRED: 1103053,
    ALREADY_PUBLISHING: 1103056,
    MICROPHONE_FAILED: 1103061,
    MICROPHONE_DENIED: 1103064,
    MICROPHONE_BUSY: 1103065,
    MICROPHONE_CONSTRAINTS: 1103066,
    PLAY_NO_ADDRESS: 1104020,
    PLAY_CONNECT: 1104021,
    PLAY_SDP: 1104022,
    PLAY_GAVE_UP: 1104031,
    ALREADY_PLAYING: 1104032
  };
  const TRANSIENT = /* @__PURE__ */ new Set([
    Code.RETRYING,
    Code.LOGIN_TIMEOUT,
    Code.CALL_TIMEOUT,
    Code.SOCKET_CLOSED,
    Code.SERVER_ERROR,
    Code.HEARTBEAT_TIMEOUT,
    -32603,
    -32e3
    // JSON-RPC: an internal error, too many messages
  ]);
  class ZegoError extends Error {
    constructor(errorCode, extendedData) {
      super(extendedData);
      this.errorCode = errorCode;
      this.extendedData = extendedData;
      this.name = "ZegoError";
      this.code = errorCode;
    }
    /** The same as errorCode: mini programs look here. */
    code;
  }
  function asZegoError(e, fallback) {
    if (e instanceof ZegoError) return e;
    return new ZegoError(fallback, e instanceof Error ? e.message : String(e));
  }
  const MIXING = "mixing is a capture of the daemon: POST /v1/captures with republish";
  const FRAMES = "take the MediaStream of startPlayingStream to WebAudio";
  class Absent {
    // Settings of ZEGO's own cloud, which have nothing to set here.
    static use(module2) {
    }
    static setGeoFence(type, list) {
    }
    static setEngineOptions(options) {
    }
    static setCloudProxyConfig(list, token, enable) {
    }
    static setLocalProxyConfig(config, enable) {
    }
    static presetLogConfig(config) {
    }
    setLogConfig(config) {
      return true;
    }
    setDebugVerbose(on) {
    }
    uploadLog() {
    }
    /** false: one engine, one room. */
    enableMultiRoom(on) {
      return false;
    }
    // Mixing, relays, frames, data beside the sound.
    startMixerTask(task) {
      return absent(Code.MIX_START, MIXING, task);
    }
    stopMixerTask(taskID) {
      return absent(Code.MIX_STOP, MIXING, taskID);
    }
    setMixerTaskConfig(config) {
      return absent(Code.BAD_PARAMETER, MIXING, config);
    }
    startAutoMixerTask(task) {
      return absent(Code.MIX_START, MIXING, task);
    }
    stopAutoMixerTask(task) {
      return absent(Code.MIX_STOP, MIXING, task);
    }
    addPublishCdnUrl(streamID, url) {
      return absent(Code.RELAY_FAILED, "this service relays to no CDN", streamID, url);
    }
    removePublishCdnUrl(streamID, url) {
      return absent(Code.RELAY_FAILED, "this service relays to no CDN", streamID, url);
    }
    setAudioFrameCallback(streamID, callback, options) {
      return absent(Code.BAD_PARAMETER, FRAMES, streamID, callback, options);
    }
    setCaptureAudioFrameCallback(stream, callback, options) {
      return absent(Code.BAD_PARAMETER, FRAMES, stream, callback, options);
    }
    sendTransparentMessage(roomID, message) {
      return absent(Code.BAD_PARAMETER, "send it as a custom command", roomID, message);
    }
    callExperimentalAPI(params) {
      return absent(Code.BAD_PARAMETER, "there are no experiments here", params);
    }
    /** false: sound only, no video to carry it. */
    sendSEI(streamID, data) {
      return false;
    }
    /** The next address of a stream: there is none. */
    getNextUrl(streamID) {
      return "";
    }
    /** Nothing to mute: sound only. */
    muteAllPlayVideoStreams(mute) {
      return Promise.resolve(true);
    }
  }
  function absent(code, sentence, ...given) {
    return Promise.reject(new ZegoError(code, sentence));
  }
  const ROOM_ID = /^[0-9A-Za-z~!@#$^&*()_+=\-;',.<>]+$/;
  const USER_ID = /^[0-9A-Za-z~!@#$^&*()_+=\-;',.]+$/;
  const STREAM_ID = /^[0-9A-Za-z_-]+$/;
  const ADDRESS = /^(wss?|https?):\/\/([^/?#\s]+)(\/[^?#\s]*)?(\?[^#\s]*)?(?:#.*)?$/i;
  function byteLength(text) {
    let n = 0;
    for (const character of text) {
      const point = character.codePointAt(0);
      n += point < 128 ? 1 : point < 2048 ? 2 : point < 65536 ? 3 : 4;
    }
    return n;
  }
  function checkID(id, pattern, limit, name, codes) {
    if (typeof id !== "string" || id === "") throw new ZegoError(codes[0], `${name} is empty`);
    if (byteLength(id) > limit) throw new ZegoError(codes[1], `${name} is longer than ${limit} bytes`);
    if (!pattern.test(id)) throw new ZegoError(codes[2], `${name} has a character that is not allowed`);
  }
  function checkLogin(roomID, token, user) {
    checkID(roomID, ROOM_ID, 128, "roomID", [Code.ROOM_ID_EMPTY, Code.ROOM_ID_LONG, Code.ROOM_ID_BAD]);
    if (typeof token !== "string" || token === "") throw new ZegoError(Code.BAD_PARAMETER, "token is required");
    checkID(user?.userID, USER_ID, 64, "userID", [Code.USER_ID_EMPTY, Code.USER_ID_LONG, Code.USER_ID_BAD]);
    if (user?.userName && byteLength(String(user.userName)) > 256) {
      throw new ZegoError(Code.USER_NAME_LONG, "userName is longer than 256 bytes");
    }
  }
  function checkStreamID(streamID) {
    checkID(streamID, STREAM_ID, 256, "streamID", [Code.STREAM_ID_EMPTY, Code.STREAM_ID_LONG, Code.STREAM_ID_BAD]);
  }
  function socketAddresses(server) {
    const list = (Array.isArray(server) ? server : [server]).map((given) => {
      let address = String(given);
      if (/^\/(?!\/)/.test(address) && typeof location === "object") address = location.origin + address;
      const parts = ADDRESS.exec(address);
      if (!parts) throw new ZegoError(Code.BAD_PARAMETER, `server ${JSON.stringify(given)} is no address of ws, wss, http or https`);
      const [, scheme, host, path = "/", query = ""] = parts;
      const secure = /^(wss|https)$/i.test(scheme);
      return `${secure ? "wss" : "ws"}://${host}${path === "/" ? "/ws" : path}${query}`;
    });
    if (list.length === 0) throw new ZegoError(Code.BAD_PARAMETER, "no server is given");
    return list;
  }
  const CODES = {
    NotAllowedError: Code.MICROPHONE_DENIED,
    SecurityError: Code.MICROPHONE_DENIED,
    NotReadableError: Code.MICROPHONE_BUSY,
    AbortError: Code.MICROPHONE_BUSY,
    OverconstrainedError: Code.MICROPHONE_CONSTRAINTS,
    TypeError: Code.MICROPHONE_CONSTRAINTS
  };
  function mediaDevices() {
    return typeof navigator === "object" ? navigator.mediaDevices : void 0;
  }
  function microphoneAllowed() {
    return Boolean(mediaDevices()?.getUserMedia);
  }
  async function openMicrophone({ audioInput, channelCount, AEC, ANS, AGC }) {
    const devices = mediaDevices();
    if (!devices?.getUserMedia) {
      throw new ZegoError(Code.HTTPS_REQUIRED, "the browser gives its microphone only to pages served by https or from localhost");
    }
    const audio = {
      echoCancellation: AEC !== false,
      noiseSuppression: ANS !== false,
      autoGainControl: AGC !== false,
      channelCount: channelCount || 1
    };
    if (audioInput) audio.deviceId = { exact: audioInput };
    try {
      return await devices.getUserMedia({ audio, video: false });
    } catch (e) {
      const { name, message } = e;
      throw new ZegoError(CODES[name] || Code.MICROPHONE_FAILED, `${name}: ${message}`);
    }
  }
  async function microphones() {
    const all = await mediaDevices()?.enumerateDevices?.();
    return (all ?? []).filter((d) => d.kind === "audioinput").map((d) => ({ deviceName: d.label, deviceID: d.deviceId }));
  }
  function stopTracks(stream) {
    for (const track of stream.getTracks()) track.stop();
  }
  class ZegoLocalStream {
    constructor(stream) {
      this.stream = stream;
    }
  }
  function mediaOf(stream) {
    const media = stream instanceof ZegoLocalStream ? stream.stream : stream;
    return media && typeof media.getAudioTracks === "function" ? media : null;
  }
  function newPeerConnection(turnServers) {
    const iceServers = turnServers.map(({ url, ...rest }) => ({ urls: url, ...rest }));
    return new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle", rtcpMuxPolicy: "require" });
  }
  function closePeerConnection(pc) {
    if (!pc) return;
    pc.onconnectionstatechange = null;
    pc.close();
  }
  async function setLocalDescription(pc, original, sdp) {
    try {
      await pc.setLocalDescription({ type: original.type, sdp });
    } catch {
      await pc.setLocalDescription(original);
    }
  }
  class Line {
    #tail = Promise.resolve();
    add(work) {
      const result = this.#tail.then(work);
      this.#tail = result.catch(() => {
      });
      return result;
    }
  }
  class Settled {
    resolve;
    reject;
    promise;
    constructor() {
      this.promise = new Promise((resolve, reject) => {
        this.resolve = resolve;
        this.reject = reject;
      });
      this.promise.catch(() => {
      });
    }
  }
  function opusType(sdp) {
    return /^a=rtpmap:(\d+) opus\/48000/im.exec(sdp)?.[1] ?? null;
  }
  function askForNACK(sdp) {
    const types = new Set([...sdp.matchAll(/^a=rtpmap:(\d+) opus\/48000/gim)].map((m) => m[1]));
    for (const pt of types) {
      if (new RegExp(`^a=rtcp-fb:${pt} nack\\s*$`, "m").test(sdp)) continue;
      sdp = sdp.replace(new RegExp(`^(a=rtpmap:${pt} opus/48000.*)(\\r?\\n)`, "gim"), `$1$2a=rtcp-fb:${pt} nack$2`);
    }
    return sdp;
  }
  function setOpusParameters(sdp, values) {
    const pt = opusType(sdp);
    if (pt === null) return sdp;
    const write = (text) => {
      const all = /* @__PURE__ */ new Map();
      for (const part of text.split(";")) {
        const at = part.indexOf("=");
        if (part.trim() !== "") all.set((at < 0 ? part : part.slice(0, at)).trim(), at < 0 ? "" : part.slice(at + 1).trim());
      }
      for (const [name, value] of Object.entries(values)) {
        if (value === null) all.delete(name);
        else all.set(name, String(value));
      }
      return [...all].map(([name, value]) => value === "" ? name : `${name}=${value}`).join(";");
    };
    const line = new RegExp(`^a=fmtp:${pt} (.*?)(\\r?)$`, "gm");
    if (line.test(sdp)) return sdp.replace(line, (_, text, cr) => `a=fmtp:${pt} ${write(text)}${cr}`);
    return sdp.replace(new RegExp(`^(a=rtpmap:${pt} opus/48000.*)(\\r?\\n)`, "gim"), `$1$2a=fmtp:${pt} ${write("")}$2`);
  }
  function originOf(sdp) {
    return /^o=\S+ (\d+)/m.exec(sdp)?.[1] ?? "";
  }
  const MEDIA_TIMEOUT = 2e4;
  class Publisher {
    streamID;
    state = "NO_PUBLISH";
    /** Of PUBLISHING, ms. */
    since = 0;
    muted = false;
    extraInfo;
    stream = null;
    /** Resolves with the first PUBLISHING or a stop, rejects with a failure. */
    started;
    #room;
    #capture;
    #options;
    #onEnd;
    #pc = null;
    #sender = null;
    #round = 0;
    #ended = false;
    #wasConnected = false;
    #timer;
    #settled = new Settled();
    /** capture says where the sound comes from; onEnd is called once, after the last state. */
    constructor(room, streamID, capture, options, onEnd) {
      this.#room = room;
      this.streamID = streamID;
      this.#capture = capture;
      this.#options = options;
      this.#onEnd = onEnd;
      this.extraInfo = options.extraInfo || "";
      this.started = this.#settled.promise;
    }
    async start() {
      this.#setState("PUBLISH_REQUESTING", 0, "");
      if (this.#ended) return;
      try {
        const stream = await this.#capture();
        if (this.#ended) return;
        if (!stream || stream.getAudioTracks().length === 0) throw new ZegoError(Code.BAD_STREAM, "the stream has no audio");
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
      const stream = this.stream;
      const wire = this.#room.wire;
      if (!stream || !wire || this.#ended) return;
      const round = ++this.#round;
      const current = () => round === this.#round && wire === this.#room.wire;
      this.#room.publishing.add(async () => {
        if (!current()) return;
        try {
          await this.#offer(stream, wire, current);
        } catch (e) {
          if (current()) this.fail(asZegoError(e, Code.PUBLISH_SDP));
        }
      });
    }
    async #offer(stream, wire, current) {
      closePeerConnection(this.#pc);
      const pc = this.#pc = newPeerConnection(this.#room.turnServers);
      this.#wasConnected = false;
      pc.onconnectionstatechange = () => this.#connectionChanged(pc);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.fail(new ZegoError(Code.PUBLISH_CONNECT, "no media connection")), MEDIA_TIMEOUT);
      const track = stream.getAudioTracks()[0];
      this.#sender = pc.addTransceiver(track, { direction: "sendonly", streams: [stream] }).sender;
      const stereo = track.getSettings?.().channelCount === 2;
      const offer = await pc.createOffer();
      const sdp = setOpusParameters(askForNACK(offer.sdp), { useinbandfec: 1, "sprop-stereo": stereo ? 1 : null });
      if (!current()) return;
      await setLocalDescription(pc, offer, sdp);
      if (!current()) return;
      const answer = await wire.call("startPublishing", { streamID: this.streamID, extraInfo: this.extraInfo, sdp });
      if (!current()) return;
      await pc.setRemoteDescription({
        type: "answer",
        sdp: setOpusParameters(askForNACK(answer.sdp), {
          useinbandfec: 1,
          stereo: stereo ? 1 : 0,
          usedtx: this.#options.enableDTX ? 1 : 0,
          maxaveragebitrate: this.#options.audioBitrate ? this.#options.audioBitrate * 1e3 : null
        })
      });
    }
    #connectionChanged(pc) {
      if (pc !== this.#pc || !this.#room.wire) return;
      if (pc.connectionState === "connected") {
        clearTimeout(this.#timer);
        this.#wasConnected = true;
        this.#setState("PUBLISHING", 0, "");
        this.#settled.resolve();
      } else if (pc.connectionState === "failed") {
        if (this.#wasConnected) this.#room.recover();
        else this.fail(new ZegoError(Code.PUBLISH_CONNECT, "the media connection failed"));
      }
    }
    /** The server lost the media and waits for a new offer. */
    restart(errorCode, extendedData) {
      this.#setState("PUBLISH_REQUESTING", errorCode, extendedData);
      this.negotiate();
    }
    /** The room's connection was lost; the media may still flow. */
    suspend() {
      clearTimeout(this.#timer);
      this.#setState("PUBLISH_REQUESTING", Code.PUBLISH_SOCKET, "the connection was lost");
    }
    mute(muted) {
      this.muted = muted;
      for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
    }
    /** The stream has another track now: it is sent without a new negotiation. */
    async trackReplaced(track) {
      track.enabled = !this.muted;
      await this.#sender?.replaceTrack(track);
    }
    stop() {
      this.#end(0, "");
      this.#settled.resolve();
    }
    fail(error) {
      if (this.#ended) return;
      this.#end(error.errorCode, error.extendedData);
      this.#settled.reject(error);
    }
    #end(errorCode, extendedData) {
      if (this.#ended) return;
      this.#ended = true;
      const asked = this.#round > 0;
      this.#round++;
      clearTimeout(this.#timer);
      closePeerConnection(this.#pc);
      this.#pc = null;
      this.#sender = null;
      this.#room.publishers.delete(this.streamID);
      if (asked) this.#room.tell(this.#room.publishing, "stopPublishing", { streamID: this.streamID });
      this.#setState("NO_PUBLISH", errorCode, extendedData);
      this.#onEnd();
    }
    #setState(state, errorCode, extendedData) {
      if (this.state === state && errorCode === 0) return;
      this.state = state;
      if (state === "PUBLISHING") this.since = Date.now();
      this.#room.events.emit("publisherStateUpdate", { streamID: this.streamID, state, errorCode, extendedData });
    }
    async report() {
      return this.#pc && this.state === "PUBLISHING" ? this.#pc.getStats() : null;
    }
  }
  const round1 = (x) => Math.round(x * 10) / 10;
  const percent = (part, whole) => whole > 0 ? round1(100 * part / whole) : 0;
  function entriesOf(report) {
    return [...report.values()];
  }
  class Growth {
    #last = /* @__PURE__ */ new Map();
    /** since is the time, ms, at which counters.ms began to count from zero. */
    of(key, since, counters) {
      let before = this.#last.get(key);
      if (!before || before.since !== since) before = { ms: since };
      this.#last.set(key, { ...counters, since });
      const grown = {};
      for (const name of Object.keys(counters)) grown[name] = Math.max(0, (counters[name] || 0) - (before[name] || 0));
      return grown;
    }
    forget(key) {
      this.#last.delete(key);
    }
  }
  function grade(lostRate, roundTrip) {
    const limits = [[2, 150], [6, 300], [15, 500], [50, 1500]];
    const at = limits.findIndex(([lost, ms]) => lostRate < lost && roundTrip < ms);
    return at < 0 ? 4 : at;
  }
  function roundTripOf(report) {
    const pair = entriesOf(report).find((s) => s.type === "candidate-pair" && s.nominated && typeof s.currentRoundTripTime === "number");
    return pair ? pair.currentRoundTripTime * 1e3 : 0;
  }
  function codecOf(report, s) {
    const codec = s.codecId ? report.get(s.codecId) : void 0;
    return { audioCodec: codec ? codec.mimeType.replace(/^audio\//, "") : "", audioSamplingRate: codec ? codec.clockRate : 0 };
  }
  const NO_VIDEO = { videoBitrate: 0, videoFPS: 0, videoWidth: 0, videoHeight: 0, frameWidth: 0, frameHeight: 0 };
  function publishStats(report, growth, key, { muted, since }) {
    const entry = (type) => entriesOf(report).find((s) => s.type === type && s.kind === "audio");
    const out = entry("outbound-rtp");
    const remote = entry("remote-inbound-rtp");
    if (!out) return null;
    const lost = Math.max(0, remote?.packetsLost || 0);
    const grown = growth.of(key, since, { ms: out.timestamp, bytes: out.bytesSent, packets: out.packetsSent, lost });
    const seconds = grown.ms / 1e3;
    const roundTripTime = round1(remote?.roundTripTime ? remote.roundTripTime * 1e3 : roundTripOf(report));
    const lostRate = percent(grown.lost, grown.packets);
    return {
      audio: {
        audioBitrate: seconds > 0 ? round1(grown.bytes * 8 / 1e3 / seconds) : 0,
        audioFPS: seconds > 0 ? round1(grown.packets / seconds) : 0,
        ...codecOf(report, out),
        audioJitter: round1((remote?.jitter || 0) * 1e3),
        audioLevel: entry("media-source")?.audioLevel || 0,
        audioPacketsLost: lost,
        audioPacketsLostRate: lostRate,
        audioPacketsRetransmitted: out.retransmittedPacketsSent || 0,
        audioQuality: grade(lostRate, roundTripTime),
        muteState: muted ? "1" : "0"
      },
      video: { ...NO_VIDEO },
      roundTripTime,
      packetsLostRate: lostRate,
      totalRoundTripTime: roundTripTime
    };
  }
  function playStats(report, s, growth, key, { muted, since }) {
    const lost = Math.max(0, s.packetsLost || 0);
    const grown = growth.of(key, since, {
      ms: s.timestamp,
      bytes: s.bytesReceived,
      packets: s.packetsReceived,
      lost,
      samples: s.totalSamplesReceived,
      concealed: (s.concealedSamples || 0) - (s.silentConcealedSamples || 0),
      delay: s.jitterBufferDelay,
      emitted: s.jitterBufferEmittedCount
    });
    const seconds = grown.ms / 1e3;
    const roundTrip = roundTripOf(report);
    const buffered = grown.emitted > 0 ? grown.delay / grown.emitted * 1e3 : 0;
    const lostRate = percent(grown.lost, grown.lost + grown.packets);
    return {
      audio: {
        audioBitrate: seconds > 0 ? round1(grown.bytes * 8 / 1e3 / seconds) : 0,
        audioFPS: seconds > 0 ? round1(grown.packets / seconds) : 0,
        ...codecOf(report, s),
        audioJitter: round1((s.jitter || 0) * 1e3),
        audioLevel: s.audioLevel || 0,
        audioPacketsLost: lost,
        audioPacketsLostRate: lostRate,
        audioCumulativeBreakRate: percent(grown.concealed, grown.samples),
        audioBufferDelay: round1(buffered),
        audioNackCount: s.nackCount || 0,
        audioQuality: grade(lostRate, roundTrip),
        muteState: muted ? "1" : "0"
      },
      video: { ...NO_VIDEO },
      roundTripTime: round1(roundTrip),
      peerToPeerDelay: round1(roundTrip + buffered),
      peerToPeerPacketLostRate: lostRate
    };
  }
  function soundLevel(level) {
    if (!level || level <= 0) return 0;
    return Math.round(Math.min(100, Math.max(0, 100 + 20 * Math.log10(level) * 100 / 60)));
  }
  class PlayStopped extends ZegoError {
  }
  class Played {
    constructor(streamID, onEnd, onTrack) {
      this.streamID = streamID;
      this.onEnd = onEnd;
      this.onTrack = onTrack;
    }
    state = "NO_PLAY";
    /** Of PLAYING, ms. */
    since = 0;
    /** The wire on which the server was asked for it. */
    asked = null;
    track = null;
    /** The media connection that track belongs to. */
    bound = null;
    media = null;
    muted = false;
    timer;
    started = new Settled();
  }
  class Players {
    #room;
    #entries = /* @__PURE__ */ new Map();
    #pc = null;
    #origin = "";
    // of the server's end of it
    #wasConnected = false;
    #flushing = false;
    #stops = /* @__PURE__ */ new Set();
    #calls = new Line();
    #offers = new Line();
    constructor(room) {
      this.#room = room;
    }
    get size() {
      return this.#entries.size;
    }
    /**
     * onEnd is called once, after the last state; onTrack when another track
     * carries the stream.
     */
    play(streamID, onEnd, onTrack) {
      if (this.#entries.has(streamID)) {
        return Promise.reject(new ZegoError(Code.ALREADY_PLAYING, `stream ${streamID} is played already`));
      }
      const entry = new Played(streamID, onEnd, onTrack);
      this.#entries.set(streamID, entry);
      this.#watch(entry);
      this.#setState(entry, "PLAY_REQUESTING", 0, "");
      this.#flush();
      return entry.started.promise;
    }
    stop(streamID, error) {
      const entry = this.#entries.get(streamID);
      if (!entry) return;
      this.#entries.delete(streamID);
      clearTimeout(entry.timer);
      if (entry.asked) this.#stops.add(streamID);
      this.#setState(entry, "NO_PLAY", error ? error.errorCode : 0, error ? error.extendedData : "");
      entry.started.reject(error ?? new PlayStopped(Code.STREAM_MISSING, `playing ${streamID} was stopped`));
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
        this.#setState(entry, "PLAY_REQUESTING", Code.RETRYING, "the connection was lost");
      }
    }
    /** The server lost the media connection, and with it this stream. */
    restart(streamID, extendedData) {
      const entry = this.#entries.get(streamID);
      if (!entry) return;
      entry.asked = null;
      entry.bound = null;
      this.#watch(entry);
      this.#setState(entry, "PLAY_REQUESTING", Code.PLAY_INTERRUPTED, extendedData);
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
        this.stop(entry.streamID, new ZegoError(Code.PLAY_CONNECT, "no media connection"));
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
        if (stops.length > 0) await wire.call("stopPlaying", { streamIDs: stops }).catch(() => {
        });
        const entries = [...this.#entries.values()].filter((e) => e.asked !== wire);
        if (entries.length > 0) await this.#ask(wire, entries);
      });
    }
    async #ask(wire, entries) {
      const stands = (entry) => this.#entries.get(entry.streamID) === entry;
      for (const entry of entries) entry.asked = wire;
      try {
        await wire.call("startPlaying", { streamIDs: entries.map((e) => e.streamID) });
      } catch (e) {
        if (wire !== this.#room.wire) return;
        const [first, ...others] = entries;
        if (others.length > 0) {
          for (const entry of entries) if (stands(entry)) await this.#ask(wire, [entry]);
        } else if (first && stands(first)) {
          const error = asZegoError(e, Code.SERVER_ERROR);
          if (error.errorCode === Code.ALREADY_PLAYING) return;
          first.asked = null;
          this.stop(first.streamID, error);
        }
      }
    }
    /** Takes one offer of the server: the whole list of what this login plays. */
    offer(wire, { sdp, streams }) {
      this.#offers.add(async () => {
        if (wire !== this.#room.wire) return;
        const origin = originOf(sdp);
        const pc = this.#pc && origin === this.#origin ? this.#pc : this.#connect(origin);
        const current = () => pc === this.#pc && wire === this.#room.wire;
        try {
          await pc.setRemoteDescription({ type: "offer", sdp });
          if (!current()) return;
          const answer = await pc.createAnswer();
          const text = setOpusParameters(askForNACK(answer.sdp), { stereo: 1, useinbandfec: 1 });
          if (!current()) return;
          await setLocalDescription(pc, answer, text);
          if (!current()) return;
          this.#bind(pc, streams || {});
          await wire.call("answer", { sdp: text });
          if (current() && pc.connectionState === "connected") this.#playing();
        } catch (e) {
          if (!current()) return;
          for (const entry of [...this.#entries.values()]) {
            if (entry.state !== "PLAYING") this.stop(entry.streamID, asZegoError(e, Code.PLAY_SDP));
          }
        }
      });
    }
    #connect(origin) {
      closePeerConnection(this.#pc);
      const pc = this.#pc = newPeerConnection(this.#room.turnServers);
      this.#origin = origin;
      this.#wasConnected = false;
      pc.onconnectionstatechange = () => {
        if (pc !== this.#pc) return;
        if (pc.connectionState === "connected") {
          this.#wasConnected = true;
          if (pc.signalingState === "stable") this.#playing();
        } else if (pc.connectionState === "failed" && this.#wasConnected) {
          this.#room.recover();
        } else if (pc.connectionState === "failed") {
          for (const streamID of [...this.#entries.keys()]) {
            this.stop(streamID, new ZegoError(Code.PLAY_CONNECT, "the media connection failed"));
          }
        }
      };
      return pc;
    }
    #bind(pc, streams) {
      const tracks = /* @__PURE__ */ new Map();
      for (const transceiver of pc.getTransceivers()) tracks.set(streams[transceiver.mid ?? ""], transceiver.receiver.track);
      for (const entry of this.#entries.values()) {
        const track = tracks.get(entry.streamID);
        entry.bound = track ? pc : null;
        if (!track || track === entry.track) continue;
        track.enabled = !entry.muted;
        if (!entry.media) {
          entry.media = new MediaStream([track]);
        } else {
          for (const old of entry.media.getAudioTracks()) entry.media.removeTrack(old);
          entry.media.addTrack(track);
        }
        const replaced = entry.track !== null;
        entry.track = track;
        if (!replaced) continue;
        entry.onTrack();
        this.#room.events.emit("playerAudioTrackUpdate", entry.streamID, track);
      }
    }
    #playing() {
      for (const entry of [...this.#entries.values()]) {
        if (entry.bound !== this.#pc || entry.asked !== this.#room.wire || entry.state === "PLAYING") continue;
        clearTimeout(entry.timer);
        this.#setState(entry, "PLAYING", 0, "");
        entry.started.resolve(entry.media);
      }
    }
    #setState(entry, state, errorCode, extendedData) {
      if (entry.state === state && errorCode === 0) return;
      entry.state = state;
      if (state === "PLAYING") entry.since = Date.now();
      this.#room.events.emit("playerStateUpdate", { streamID: entry.streamID, state, errorCode, extendedData });
    }
    /** The report of the connection and, for each playing stream, its inbound entry. */
    async report() {
      if (!this.#pc || this.#entries.size === 0) return null;
      const report = await this.#pc.getStats();
      const byTrack = /* @__PURE__ */ new Map();
      for (const s of entriesOf(report)) if (s.type === "inbound-rtp" && s.kind === "audio") byTrack.set(s.trackIdentifier, s);
      const streams = [];
      for (const entry of this.#entries.values()) {
        const s = entry.track && byTrack.get(entry.track.id);
        if (s && entry.state === "PLAYING") streams.push({ entry, s });
      }
      return { report, streams };
    }
  }
  class BrowserComponents {
    constructor(media, data) {
      this.media = media;
      this.data = data;
    }
    #pusher = null;
    #configured = false;
    #players = /* @__PURE__ */ new Map();
    createPusher(config) {
      const pusher = this.getPusherInstance();
      if (!pusher || this.#configured) return pusher;
      this.#configured = true;
      this.data.setPusher(config ?? {});
      return pusher;
    }
    getPusherInstance() {
      if (!this.data.bound) return null;
      return this.#pusher ??= new Pusher(this.media, this.data);
    }
    /** A browser has no component that must be there first: a player is had before initContext, too. */
    getPlayerInstance(streamID) {
      let player = this.#players.get(streamID);
      if (player) return player;
      player = new Player(this.media, streamID, () => {
        if (this.#players.get(streamID) !== player) return;
        this.#players.delete(streamID);
        this.data.removePlayer(streamID);
      });
      this.#players.set(streamID, player);
      this.data.addPlayer(streamID);
      return player;
    }
    setPusherAttributes(config) {
      if (this.#pusher) this.data.setPusher(config);
    }
    stateChanged() {
    }
    netStatusChanged() {
    }
    volumeChanged() {
    }
    left() {
    }
    stopPlayers() {
      for (const player of [...this.#players.values()]) player.stop();
    }
  }
  class Pusher {
    constructor(media, data) {
      this.media = media;
      this.data = data;
    }
    #stream = null;
    #streamID = "";
    /**
     * Publishes the microphone as streamID; resolves when it is published.
     * A stop before that resolves too.
     */
    start(streamID, options) {
      let started;
      try {
        started = this.#start(streamID, options);
      } catch (e) {
        started = Promise.reject(e);
      }
      started.catch(() => {
      });
      return started;
    }
    #start(streamID, options = {}) {
      const room = this.media.room;
      if (!room) throw new ZegoError(Code.PUBLISH_PARAMETER, "input param error room no found");
      checkStreamID(streamID);
      if (this.#streamID || room.publishers.has(streamID)) {
        throw new ZegoError(Code.ALREADY_PUBLISHING, `stream ${this.#streamID || streamID} is published already`);
      }
      this.#streamID = streamID;
      this.data.setPusher({ id: streamID });
      const { enableMic, enableAec, enableAns, enableAgc, audioInput, channelCount } = this.data.pusher;
      let stopped = false;
      const capture = async () => {
        const stream = await openMicrophone({
          AEC: enableAec !== false,
          ANS: enableAns !== false,
          AGC: enableAgc !== false,
          channelCount: channelCount ?? 1,
          ...audioInput ? { audioInput } : {}
        });
        if (stopped) stopTracks(stream);
        else this.#stream = stream;
        return stream;
      };
      return this.media.publish(streamID, capture, options, enableMic === false, () => {
        stopped = true;
        if (this.#stream) stopTracks(this.#stream);
        this.#stream = null;
        this.#streamID = "";
        this.data.resetPusher();
      }).started;
    }
    /** Stops publishing and lets go of the microphone. */
    stop() {
      if (this.#streamID) this.media.stopPublishing(this.#streamID);
    }
    pause() {
      this.#mute(true);
    }
    resume() {
      this.#mute(false);
    }
    #mute(muted) {
      if (this.#streamID) this.media.mutePublished(muted, this.#streamID);
    }
  }
  class Player {
    /** onStop is called by stop. */
    constructor(media, streamID, onStop) {
      this.media = media;
      this.streamID = streamID;
      this.onStop = onStop;
    }
    #element = null;
    #media = null;
    #playing = null;
    #muted = false;
    /** Resolves when the sound plays; a stop before that resolves too. */
    play() {
      if (this.#playing) return this.#playing;
      const playing = this.#start();
      this.#playing = playing;
      playing.catch(() => {
        if (this.#playing === playing) this.#playing = null;
      });
      return playing;
    }
    async #start() {
      let stopped = false;
      const media = await this.media.play(this.streamID, () => {
        stopped = true;
        this.#release();
      }, () => this.#attach()).catch((e) => {
        if (e instanceof PlayStopped) return null;
        throw e;
      });
      if (!media || stopped) return;
      if (this.#muted) this.media.mutePlayed(this.streamID, true);
      const element = document.createElement("audio");
      this.#element = element;
      element.autoplay = true;
      element.hidden = true;
      element.dataset.streamId = this.streamID;
      this.#media = media;
      this.#attach();
      (document.body || document.documentElement).append(element);
      await untilPlaying(element, () => stopped);
    }
    /** Not every browser follows a MediaStream whose track is replaced. */
    #attach() {
      if (!this.#element) return;
      this.#element.srcObject = null;
      this.#element.srcObject = this.#media;
    }
    stop() {
      this.media.stopPlaying(this.streamID);
      this.#release();
      this.onStop();
    }
    pause() {
      this.#element?.pause();
    }
    resume() {
      this.#element?.play().catch(() => {
      });
    }
    /** Without an argument it toggles, as in mini programs. */
    mute(muted) {
      this.#muted = typeof muted === "boolean" ? muted : !this.#muted;
      this.media.mutePlayed(this.streamID, this.#muted);
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
  async function untilPlaying(element, stopped) {
    for (; ; ) {
      try {
        await element.play();
        return;
      } catch (e) {
        if (stopped() || !element.srcObject) return;
        const { name, message } = e;
        if (name !== "NotAllowedError") throw new ZegoError(Code.PLAY_CONNECT, message);
        await new Promise((resolve) => {
          for (const gesture of ["pointerdown", "keydown"]) addEventListener(gesture, resolve, { once: true, capture: true });
        });
      }
    }
  }
  const PUSHER_DEFAULTS = Object.freeze({ enableCamera: true, enableMic: true });
  class PageData {
    #context = null;
    #pusher = null;
    #players = /* @__PURE__ */ new Map();
    /** Whether initContext was called. */
    get bound() {
      return this.#context !== null;
    }
    get pusher() {
      return this.#pusher ?? PUSHER_DEFAULTS;
    }
    bind({ wxContext, pushAtr, playAtr }) {
      this.#context = { wxContext, pushAtr: pushAtr || "pusher", playAtr: playAtr || "playerList" };
      if (this.#pusher) this.setPusher({});
      if (this.#players.size > 0) this.#showPlayers();
    }
    /** Changes some attributes. */
    setPusher(change) {
      this.#pusher = { ...this.pusher, ...change };
      this.#show(this.#context?.pushAtr, { ...this.#pusher });
    }
    /** Back to the defaults: a stop forgets the configuration. */
    resetPusher() {
      this.#pusher = null;
      this.setPusher({});
    }
    players() {
      return [...this.#players.values()].map((a) => ({ ...a }));
    }
    addPlayer(streamID) {
      this.#players.set(streamID, { id: streamID });
      this.#showPlayers();
    }
    /** Changes some attributes of a player that is there. */
    setPlayer(streamID, change) {
      const attributes = this.#players.get(streamID);
      if (!attributes) return;
      this.#players.set(streamID, { ...attributes, ...change });
      this.#showPlayers();
    }
    removePlayer(streamID) {
      if (this.#players.delete(streamID)) this.#showPlayers();
    }
    #showPlayers() {
      this.#show(this.#context?.playAtr, this.players());
    }
    #show(name, value) {
      const page = this.#context?.wxContext;
      if (name && page && typeof page.setData === "function") page.setData({ [name]: value });
    }
  }
  const FIRED = [
    "roomStateUpdate",
    "roomStateChanged",
    "roomUserUpdate",
    "roomOnlineUserCountUpdate",
    "roomStreamUpdate",
    "streamExtraInfoUpdate",
    "roomExtraInfoUpdate",
    "publisherStateUpdate",
    "playerStateUpdate",
    "publishQualityUpdate",
    "playQualityUpdate",
    "tokenWillExpire",
    "IMRecvBroadcastMessage",
    "IMRecvBarrageMessage",
    "IMRecvCustomCommand",
    "soundLevelUpdate",
    "capturedSoundLevelUpdate",
    "playerAudioTrackUpdate"
  ];
  const SILENT = [
    "mixerRelayCDNStateUpdate",
    "hallStateUpdate",
    "recvReliableMessage",
    "remoteMicStatusUpdate",
    "remoteCameraStatusUpdate",
    "networkQuality",
    "exceptionUpdate",
    "playerVideoTrackUpdate",
    "mixerSoundLevelUpdate",
    "autoMixerSoundLevelUpdate",
    "playerRecvSEI",
    "screenSharingEnded",
    "audioDeviceStateChanged",
    "videoDeviceStateChanged",
    "deviceError",
    "publisherVideoEncoderChanged",
    "beautyEffectError",
    "backgroundEffectError",
    "recvExperimentalAPI",
    "receiveRealTimeSequentialData",
    "recvRoomTransparentMessage"
  ];
  class Events {
    #callbacks = new Map([...FIRED, ...SILENT].map((name) => [name, []]));
    on(name, callback) {
      const list = this.#callbacks.get(name);
      if (!list || typeof callback !== "function") return false;
      list.push(callback);
      return true;
    }
    off(name, callback) {
      const list = this.#callbacks.get(name);
      if (!list) return false;
      this.#callbacks.set(name, callback ? list.filter((c) => c !== callback) : []);
      return true;
    }
    clear() {
      for (const name of this.#callbacks.keys()) this.#callbacks.set(name, []);
    }
    /** A program's mistake in one callback must not break the client or the other callbacks. */
    emit(name, ...args) {
      for (const callback of [...this.#callbacks.get(name)]) {
        try {
          callback(...args);
        } catch (e) {
          if (typeof reportError === "function") reportError(e);
          else console.error(e);
        }
      }
    }
  }
  class LocalStreams {
    constructor(media) {
      this.media = media;
    }
    #microphones = /* @__PURE__ */ new Map();
    #bitrates = /* @__PURE__ */ new WeakMap();
    #ended = false;
    /** kbit/s that its creator asked for. */
    bitrateOf(stream) {
      return this.#bitrates.get(stream);
    }
    /** Opens the microphone, or takes the sound of custom.source. */
    async create(options) {
      const custom = options.custom?.source ?? options.custom?.audio?.source;
      if (custom) {
        const source = "captureStream" in custom ? custom.captureStream() : custom;
        return new MediaStream(source.getAudioTracks());
      }
      if (options.screen) throw new ZegoError(Code.BAD_PARAMETER, "this service carries sound only: no screen");
      const { audio, audioBitrate = options.audioBitrate, audioInput, channelCount, AEC, ANS, AGC } = options.camera ?? {};
      if (audio === false) throw new ZegoError(Code.BAD_PARAMETER, "this service carries sound only: audio cannot be off");
      const microphone = defined({ audioInput, channelCount, AEC, ANS, AGC, ...typeof audio === "object" ? asMicrophone(audio) : {} });
      const stream = await openMicrophone(microphone);
      if (this.#ended) {
        stopTracks(stream);
        throw new ZegoError(Code.NOT_LOGGED_IN, "the engine is destroyed");
      }
      this.#microphones.set(stream, microphone);
      if (audioBitrate) this.#bitrates.set(stream, audioBitrate);
      return stream;
    }
    destroy(stream) {
      const media = mediaOf(stream);
      if (!media) return;
      this.#microphones.delete(media);
      stopTracks(media);
    }
    /** Switches a stream to another microphone, also while it is published. */
    async use(stream, deviceID) {
      const media = mediaOf(stream);
      const microphone = media && this.#microphones.get(media);
      if (!media || !microphone) throw new ZegoError(Code.BAD_STREAM, "this is no microphone of createStream");
      const opened = await openMicrophone({ ...microphone, audioInput: deviceID });
      if (!this.#microphones.has(media)) {
        stopTracks(opened);
        return;
      }
      this.#microphones.set(media, { ...microphone, audioInput: deviceID });
      const track = opened.getAudioTracks()[0];
      for (const old of media.getAudioTracks()) {
        track.enabled = old.enabled;
        media.removeTrack(old);
        old.stop();
      }
      media.addTrack(track);
      await this.media.trackReplaced(media, track);
    }
    /** Closes all of them; what is still being opened is closed when it comes. */
    end() {
      this.#ended = true;
      for (const stream of [...this.#microphones.keys()]) this.destroy(stream);
    }
  }
  function asMicrophone({ input, ...rest }) {
    return input ? { ...rest, audioInput: input } : rest;
  }
  function defined(o) {
    return Object.fromEntries(Object.entries(o).filter(([, v]) => v !== void 0));
  }
  const QUALITY_INTERVAL = 3e3;
  class Figures {
    constructor(events, room) {
      this.events = events;
      this.room = room;
    }
    #growth = new Growth();
    #latest = /* @__PURE__ */ new Map();
    #qualityTimer;
    #levelTimer;
    /** Begins to tell quality; it ends by itself when nothing is published or played. */
    watchQuality() {
      if (this.room() && this.#qualityTimer === void 0) this.#qualityTimer = setInterval(() => this.#quality(), QUALITY_INTERVAL);
    }
    rest() {
      clearInterval(this.#qualityTimer);
      this.#qualityTimer = void 0;
    }
    /** What comes later under this name counts anew. */
    forget(type, streamID) {
      this.#growth.forget(`${type} ${streamID}`);
      this.#latest.delete(`${type} ${streamID}`);
    }
    /** What was told last of a stream; rejects before that. */
    async latest(type, streamID) {
      const stats = this.#latest.get(`${type} ${streamID}`);
      if (stats) return stats;
      throw new ZegoError(type === "push" ? Code.NOT_PUBLISHING : Code.STREAM_MISSING, `nothing is known of stream ${streamID} yet`);
    }
    /** Switches sound levels; interval in ms, 100 to 3000. */
    setSoundLevels(on, interval) {
      clearInterval(this.#levelTimer);
      this.#levelTimer = on ? setInterval(() => this.#levels(), Math.min(3e3, Math.max(100, interval))) : void 0;
    }
    async #quality() {
      const room = this.room();
      if (!room || room.publishers.size === 0 && room.players.size === 0) {
        this.rest();
        return;
      }
      for (const publisher of [...room.publishers.values()]) {
        const report = await publisher.report();
        const stats = report && publishStats(report, this.#growth, `push ${publisher.streamID}`, publisher);
        if (!stats || publisher.state !== "PUBLISHING") continue;
        this.#latest.set(`push ${publisher.streamID}`, stats);
        this.events.emit("publishQualityUpdate", publisher.streamID, stats);
      }
      const played = await room.players.report();
      for (const { entry, s } of played?.streams ?? []) {
        const stats = playStats(played.report, s, this.#growth, `pull ${entry.streamID}`, entry);
        if (entry.state !== "PLAYING") continue;
        this.#latest.set(`pull ${entry.streamID}`, stats);
        this.events.emit("playQualityUpdate", entry.streamID, stats);
      }
    }
    async #levels() {
      const room = this.room();
      if (!room) return;
      const levels = [];
      for (const publisher of [...room.publishers.values()]) {
        const report = await publisher.report();
        for (const s of report ? entriesOf(report) : []) {
          if (s.type !== "media-source" || s.kind !== "audio") continue;
          levels.push({ streamID: publisher.streamID, soundLevel: publisher.muted ? 0 : soundLevel(s.audioLevel), type: "push" });
        }
      }
      const captured = levels[0]?.soundLevel;
      const played = await room.players.report();
      for (const { entry, s } of played?.streams ?? []) {
        levels.push({ streamID: entry.streamID, soundLevel: entry.muted ? 0 : soundLevel(s.audioLevel), type: "pull" });
      }
      if (levels.length > 0) this.events.emit("soundLevelUpdate", levels);
      if (captured !== void 0) this.events.emit("capturedSoundLevelUpdate", captured);
    }
  }
  class Media {
    /** null when not logged in */
    room = null;
    figures;
    constructor(events) {
      this.figures = new Figures(events, () => this.room);
    }
    /** The room was left, or never entered. */
    left(room) {
      if (this.room !== room) return;
      this.room = null;
      this.figures.rest();
    }
    /** Throws when not logged in and when the streamID is out of rule or published already. */
    publish(streamID, capture, options, muted, onEnd) {
      const room = this.room;
      if (!room) throw new ZegoError(Code.NOT_LOGGED_IN, "not logged in");
      checkStreamID(streamID);
      if (room.publishers.has(streamID)) throw new ZegoError(Code.ALREADY_PUBLISHING, `stream ${streamID} is published already`);
      const publisher = new Publisher(room, streamID, capture, options, () => {
        this.figures.forget("push", streamID);
        onEnd();
      });
      publisher.muted = muted;
      room.publishers.set(streamID, publisher);
      this.figures.watchQuality();
      publisher.start();
      return publisher;
    }
    stopPublishing(streamID) {
      const publisher = this.room?.publishers.get(streamID);
      publisher?.stop();
      return publisher !== void 0;
    }
    /** which is a streamID or a local stream; without it everything is muted. */
    mutePublished(muted, which) {
      let found = false;
      for (const publisher of this.room?.publishers.values() ?? []) {
        if (which !== void 0 && which !== publisher.streamID && mediaOf(which) !== publisher.stream) continue;
        publisher.mute(muted);
        found = true;
      }
      return found;
    }
    /** The local stream has another track now. */
    async trackReplaced(media, track) {
      for (const publisher of this.room?.publishers.values() ?? []) if (publisher.stream === media) await publisher.trackReplaced(track);
    }
    /** onEnd is called once, after the last state; onTrack when another track carries the stream. */
    play(streamID, onEnd = () => {
    }, onTrack = () => {
    }) {
      const room = this.room;
      if (!room) return Promise.reject(new ZegoError(Code.NOT_LOGGED_IN, "not logged in"));
      try {
        checkStreamID(streamID);
      } catch (e) {
        return Promise.reject(e);
      }
      const started = room.players.play(streamID, () => {
        this.figures.forget("pull", streamID);
        onEnd();
      }, onTrack);
      this.figures.watchQuality();
      return started;
    }
    stopPlaying(streamID) {
      this.room?.players.stop(streamID);
    }
    mutePlayed(streamID, muted) {
      return this.room ? this.room.players.mute(streamID, muted) : false;
    }
  }
  const NO_RTMP = "this server has no RTMP address, which the components of mini programs need; calls work in browsers only";
  const RETRYING_PUSH = { state: "PUBLISH_REQUESTING", errorCode: Code.PUBLISH_CONNECT };
  const RETRYING_PLAY = { state: "PLAY_REQUESTING", errorCode: Code.PLAY_INTERRUPTED };
  const PUSH_CODES = {
    1002: { state: "PUBLISHING", errorCode: 0 },
    // handshake done, sending
    1102: RETRYING_PUSH,
    // the network broke, connecting again
    [-1302]: { state: "NO_PUBLISH", errorCode: Code.MICROPHONE_FAILED },
    [-1304]: { state: "NO_PUBLISH", errorCode: Code.MICROPHONE_FAILED },
    // the encoder of sound
    [-1306]: { state: "NO_PUBLISH", errorCode: Code.MICROPHONE_CONSTRAINTS },
    // a sampling rate that it cannot do
    [-1307]: { state: "NO_PUBLISH", errorCode: Code.PUBLISH_GAVE_UP }
  };
  const PLAY_CODES = {
    2004: { state: "PLAYING", errorCode: 0 },
    2006: { state: "NO_PLAY", errorCode: 0 },
    2103: RETRYING_PLAY,
    [-2301]: { state: "NO_PLAY", errorCode: Code.PLAY_GAVE_UP }
  };
  const NETWORK_CODES = /* @__PURE__ */ new Set([3001, 3002, 3003, 3004, 3005]);
  class MiniComponents {
    // late events of these say nothing
    constructor(wx2, media, data, events) {
      this.wx = wx2;
      this.media = media;
      this.data = data;
      this.events = events;
    }
    #pusher = null;
    #configured = false;
    #players = /* @__PURE__ */ new Map();
    #pushes = /* @__PURE__ */ new Map();
    // state by streamID
    #plays = /* @__PURE__ */ new Map();
    #stopped = /* @__PURE__ */ new Set();
    createPusher(config) {
      const pusher = this.getPusherInstance();
      if (!pusher || this.#configured) return pusher;
      this.#configured = true;
      this.data.setPusher(config ?? {});
      return pusher;
    }
    getPusherInstance() {
      if (!this.data.bound) return null;
      return this.#pusher ??= new MiniPusher(this, this.wx.createLivePusherContext?.() ?? {});
    }
    getPlayerInstance(streamID, wxContext) {
      if (!this.data.bound) return null;
      let player = this.#players.get(streamID);
      if (player) return player;
      player = new MiniPlayer(this, streamID, this.wx.createLivePlayerContext?.(streamID, wxContext) ?? {});
      this.#players.set(streamID, player);
      this.data.addPlayer(streamID);
      return player;
    }
    setPusherAttributes(config) {
      if (this.#pusher) this.data.setPusher(config);
    }
    startPush(streamID) {
      if (!this.media.room) throw new ZegoError(Code.PUBLISH_PARAMETER, "input param error room no found");
      checkStreamID(streamID);
      this.#stopped.delete(streamID);
      this.data.setPusher({ id: streamID });
      this.#pushIs(streamID, { state: "PUBLISH_REQUESTING", errorCode: 0 });
      this.#pushIs(streamID, { state: "NO_PUBLISH", errorCode: Code.PUBLISH_NO_ADDRESS }, NO_RTMP);
      this.#pushes.delete(streamID);
      throw new ZegoError(Code.PUBLISH_NO_ADDRESS, NO_RTMP);
    }
    startPlay(streamID) {
      if (!this.media.room) throw new ZegoError(Code.NOT_LOGGED_IN, "not logged in");
      checkStreamID(streamID);
      this.#stopped.delete(streamID);
      this.#playIs(streamID, { state: "PLAY_REQUESTING", errorCode: 0 });
      this.#playIs(streamID, { state: "NO_PLAY", errorCode: Code.PLAY_NO_ADDRESS }, NO_RTMP);
      this.#plays.delete(streamID);
      throw new ZegoError(Code.PLAY_NO_ADDRESS, NO_RTMP);
    }
    /** Whether there was something to stop. */
    stopPush(streamID) {
      const pushed = this.#pushes.has(streamID);
      if (pushed) this.#stopped.add(streamID);
      if (pushed || this.data.pusher.id === streamID) this.data.resetPusher();
      this.#pushIs(streamID, { state: "NO_PUBLISH", errorCode: 0 });
      this.#pushes.delete(streamID);
      return pushed;
    }
    stopPlay(streamID) {
      if (this.#plays.has(streamID)) this.#stopped.add(streamID);
      this.#players.delete(streamID);
      this.data.removePlayer(streamID);
      this.#playIs(streamID, { state: "NO_PLAY", errorCode: 0 });
      this.#plays.delete(streamID);
    }
    left() {
      for (const streamID of [...this.#pushes.keys()]) this.stopPush(streamID);
      for (const streamID of [...this.#plays.keys()]) this.stopPlay(streamID);
      this.#stopped.clear();
    }
    stopPlayers() {
      for (const player of [...this.#players.values()]) player.stop();
    }
    stateChanged(streamID, event) {
      const code = Number(event?.detail?.code);
      if (this.#stopped.has(streamID)) return;
      const { push, play } = this.#meaning(streamID, code);
      const message = event.detail?.message ?? "";
      if (push) this.#pushIs(streamID, push, push.errorCode ? message : "");
      if (play) this.#playIs(streamID, play, play.errorCode ? message : "");
    }
    #meaning(streamID, code) {
      if (!NETWORK_CODES.has(code)) return { push: PUSH_CODES[code], play: PLAY_CODES[code] };
      return this.#isPushed(streamID) ? { push: RETRYING_PUSH } : { play: RETRYING_PLAY };
    }
    netStatusChanged(streamID, event) {
      const info = event?.detail?.info;
      if (!info || this.#stopped.has(streamID)) return;
      const { videoBitrate = 0, videoFPS = 0, videoWidth = 0, videoHeight = 0, audioBitrate = 0 } = info;
      const stats = { video: { videoBitrate, videoFPS, videoWidth, videoHeight }, audio: { audioBitrate } };
      if (this.#isPushed(streamID)) this.events.emit("publishQualityUpdate", streamID, stats);
      else this.events.emit("playQualityUpdate", streamID, stats);
    }
    volumeChanged(streamID, event) {
      const soundLevel2 = event?.detail?.volume;
      if (typeof soundLevel2 !== "number" || this.#stopped.has(streamID)) return;
      this.events.emit("soundLevelUpdate", [{ streamID, soundLevel: soundLevel2, type: this.#isPushed(streamID) ? "push" : "pull" }]);
    }
    #isPushed(streamID) {
      return this.#pushes.has(streamID) || this.data.pusher.id === streamID;
    }
    #pushIs(streamID, { state, errorCode }, extendedData = "") {
      if ((this.#pushes.get(streamID) ?? "NO_PUBLISH") === state && errorCode === 0) return;
      this.#pushes.set(streamID, state);
      this.events.emit("publisherStateUpdate", { streamID, state, errorCode, extendedData });
    }
    #playIs(streamID, { state, errorCode }, extendedData = "") {
      if ((this.#plays.get(streamID) ?? "NO_PLAY") === state && errorCode === 0) return;
      this.#plays.set(streamID, state);
      this.events.emit("playerStateUpdate", { streamID, state, errorCode, extendedData });
    }
  }
  class MiniPusher {
    constructor(components, context) {
      this.components = components;
      this.context = context;
    }
    start(streamID) {
      return quietly(() => this.components.startPush(streamID));
    }
    stop() {
      this.context.stop?.();
      const streamID = this.components.data.pusher.id;
      if (streamID) this.components.stopPush(streamID);
      else this.components.data.resetPusher();
    }
    pause(options) {
      this.context.pause?.(options);
    }
    resume(options) {
      this.context.resume?.(options);
    }
  }
  class MiniPlayer {
    constructor(components, streamID, context) {
      this.components = components;
      this.streamID = streamID;
      this.context = context;
    }
    play() {
      return quietly(() => this.components.startPlay(this.streamID));
    }
    stop() {
      this.context.stop?.();
      this.components.stopPlay(this.streamID);
    }
    pause(options) {
      this.context.pause?.(options);
    }
    resume(options) {
      this.context.resume?.(options);
    }
    mute(options) {
      this.context.mute?.(typeof options === "object" ? options : void 0);
    }
  }
  function quietly(start) {
    const started = new Promise(() => start());
    started.catch(() => {
    });
    return started;
  }
  function miniProgram() {
    if (typeof wx !== "object" || wx === null || typeof wx.connectSocket !== "function") return null;
    return typeof RTCPeerConnection === "function" ? null : wx;
  }
  function openSocket(address) {
    const mini = miniProgram();
    return mini ? new MiniSocket(mini, address) : new BrowserSocket(address);
  }
  class BrowserSocket {
    onopen = null;
    onmessage = null;
    onclose = null;
    #socket;
    constructor(address) {
      this.#socket = new WebSocket(address);
      this.#socket.onopen = () => this.onopen?.();
      this.#socket.onmessage = (event) => this.onmessage?.(String(event.data));
      this.#socket.onerror = () => {
      };
      this.#socket.onclose = (event) => this.onclose?.(event.reason);
    }
    send(text) {
      this.#socket.send(text);
    }
    close() {
      this.#socket.close(1e3);
    }
  }
  class MiniSocket {
    onopen = null;
    onmessage = null;
    onclose = null;
    #task;
    #closed = false;
    constructor(mini, address) {
      this.#task = mini.connectSocket({ url: address, fail: (e) => this.#end(e.errMsg) });
      if (!this.#task) {
        Promise.resolve().then(() => this.#end("no socket is free"));
        return;
      }
      this.#task.onOpen(() => this.onopen?.());
      this.#task.onMessage(({ data }) => {
        if (typeof data === "string") this.onmessage?.(data);
      });
      this.#task.onClose((e) => this.#end(e.reason));
      this.#task.onError((e) => this.#end(e.errMsg));
    }
    send(text) {
      this.#task?.send({ data: text, fail: () => this.#end("the message could not be sent") });
    }
    close() {
      this.#task?.close({ code: 1e3 });
    }
    #end(reason = "") {
      if (this.#closed) return;
      this.#closed = true;
      this.onclose?.(reason);
    }
  }
  function watchSurroundings(online, gone) {
    const mini = miniProgram();
    if (mini) {
      const changed = ({ isConnected }) => {
        if (isConnected) online();
      };
      mini.onNetworkStatusChange?.(changed);
      return () => mini.offNetworkStatusChange?.(changed);
    }
    if (typeof addEventListener !== "function") return () => {
    };
    addEventListener("online", online);
    addEventListener("pagehide", gone);
    return () => {
      removeEventListener("online", online);
      removeEventListener("pagehide", gone);
    };
  }
  class Roster {
    /** tellUsers: the program asked for roomUserUpdate. onEnd is called for every stream that has ended. */
    constructor(events, roomID, self2, tellUsers, onEnd) {
      this.events = events;
      this.roomID = roomID;
      this.self = self2;
      this.tellUsers = tellUsers;
      this.onEnd = onEnd;
    }
    #users = /* @__PURE__ */ new Map();
    #streams = /* @__PURE__ */ new Map();
    /** The whole list, after a login. */
    usersAre(list) {
      const now = new Set(list.map((u) => u.userID));
      this.usersChanged("DELETE", [...this.#users.values()].filter((u) => !now.has(u.userID)));
      this.usersChanged("ADD", list);
    }
    usersChanged(updateType, list) {
      const others = list.filter((u) => u.userID !== this.self);
      const changed = others.filter((u) => this.#users.has(u.userID) === (updateType === "DELETE"));
      for (const u of changed) {
        if (updateType === "ADD") this.#users.set(u.userID, u);
        else this.#users.delete(u.userID);
      }
      if (changed.length > 0 && this.tellUsers) this.events.emit("roomUserUpdate", this.roomID, updateType, changed);
    }
    /** The whole list, after a login: what is told is what changed since the connection was lost. */
    streamsAre(list) {
      const now = new Set(list.map((s) => s.streamID));
      const gone = [...this.#streams.values()].filter((s) => !now.has(s.streamID));
      const other = list.filter((s) => {
        const before = this.#streams.get(s.streamID);
        return before && before.user.userID === s.user.userID && before.extraInfo !== s.extraInfo;
      });
      this.streamsChanged("DELETE", gone, JSON.stringify({ stream_delete_reason: gone.map(() => ({ code: 5 })) }));
      this.streamsChanged("ADD", list, "");
      this.extraInfoChanged(other);
    }
    streamsChanged(updateType, list, extendedData) {
      const others = list.filter((s) => s.user?.userID !== this.self);
      const changed = others.filter((s) => this.#streams.has(s.streamID) === (updateType === "DELETE"));
      if (changed.length === 0) return;
      for (const s of changed) {
        if (updateType === "ADD") this.#streams.set(s.streamID, s);
        else this.#streams.delete(s.streamID);
      }
      this.events.emit("roomStreamUpdate", this.roomID, updateType, changed.map(asListed), extendedData);
      if (updateType !== "DELETE") return;
      for (const s of changed) if (!this.#streams.has(s.streamID)) this.onEnd(s.streamID);
    }
    extraInfoChanged(list) {
      const known = list.filter((s) => this.#streams.has(s.streamID));
      for (const s of known) this.#streams.set(s.streamID, { ...this.#streams.get(s.streamID), extraInfo: s.extraInfo });
      if (known.length > 0) this.events.emit("streamExtraInfoUpdate", this.roomID, known.map(asListed));
    }
  }
  function asListed({ streamID, user, extraInfo }) {
    return { streamID, user, extraInfo: extraInfo || "", urlsFLV: "", urlsRTMP: "", urlsHLS: "", urlsHttpsFLV: "", urlsHttpsHLS: "" };
  }
  const CALL_TIMEOUT = 1e4;
  const CONNECT_TIMEOUT = 1e4;
  class Wire {
    /** Time of the last message, ms. */
    heard = Date.now();
    #socket;
    #next = 1;
    #calls = /* @__PURE__ */ new Map();
    #held = [];
    #onNotice = () => {
    };
    #onClose = null;
    #closed = false;
    constructor(socket) {
      this.#socket = socket;
      socket.onmessage = (text) => this.#receive(text);
      socket.onclose = (reason) => this.#end(reason);
    }
    /** Rejects with SOCKET_CLOSED. */
    static open(address) {
      return new Promise((resolve, reject) => {
        let socket;
        try {
          socket = openSocket(address);
        } catch (e) {
          reject(asZegoError(e, Code.SOCKET_CLOSED));
          return;
        }
        const timer = setTimeout(() => {
          socket.onclose = null;
          socket.close();
          reject(new ZegoError(Code.SOCKET_CLOSED, `no connection to ${address} in ${CONNECT_TIMEOUT / 1e3} s`));
        }, CONNECT_TIMEOUT);
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
      const held = this.#held ?? [];
      this.#held = null;
      for (const [method, params] of held) onNotice(method, params);
      if (this.#closed) onClose();
    }
    /** The result; rejects with a ZegoError. */
    call(method, params, timeout = CALL_TIMEOUT) {
      if (this.#closed) return Promise.reject(new ZegoError(Code.SOCKET_CLOSED, "the connection is closed"));
      const id = this.#next++;
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          this.#calls.delete(id);
          reject(new ZegoError(Code.CALL_TIMEOUT, `no answer to ${method} in ${timeout / 1e3} s`));
        }, timeout);
        this.#calls.set(id, { resolve, reject, timer });
        this.#socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
      });
    }
    /** Closes without a report to onClose. */
    close() {
      this.#onClose = null;
      this.#end("closed");
      this.#socket.close();
    }
    /** Gives the connection up as if the network had: onClose is told. */
    abandon() {
      this.#end("given up");
      this.#socket.close();
    }
    #receive(text) {
      this.heard = Date.now();
      let message;
      try {
        message = JSON.parse(text);
      } catch {
        return;
      }
      if (message.method !== void 0) {
        if (this.#closed) return;
        if (this.#held) this.#held.push([message.method, message.params || {}]);
        else this.#onNotice(message.method, message.params || {});
        return;
      }
      const call = this.#calls.get(message.id);
      if (!call) return;
      this.#calls.delete(message.id);
      clearTimeout(call.timer);
      if (message.error) call.reject(new ZegoError(message.error.code, message.error.message || ""));
      else call.resolve(message.result || {});
    }
    #end(reason) {
      if (this.#closed) return;
      this.#closed = true;
      for (const call of this.#calls.values()) {
        clearTimeout(call.timer);
        call.reject(new ZegoError(Code.SOCKET_CLOSED, reason || "the connection was lost"));
      }
      this.#calls.clear();
      this.#onClose?.();
    }
  }
  const RETRY_FIRST = 250;
  const RETRY_MOST = 5e3;
  const SILENCE_LIMIT = 45e3;
  const PROBE_TIMEOUT = 5e3;
  const FAREWELL_TIMEOUT = 1e3;
  class Room {
    /** onLeft is called once, before the last state is told. */
    constructor(events, login, onLeft) {
      this.events = events;
      this.roomID = login.roomID;
      this.token = login.token;
      this.user = { userID: login.user.userID, userName: login.user.userName === void 0 ? "" : String(login.user.userName) };
      this.#config = {
        userUpdate: Boolean(login.config?.userUpdate || login.config?.isUserStatusNotify),
        maxMemberCount: Number(login.config?.maxMemberCount || 0)
      };
      this.#addresses = login.addresses;
      this.#retryTime = login.retryTime;
      this.turnServers = login.turnServers;
      this.#onLeft = onLeft;
      this.#roster = new Roster(events, this.roomID, this.user.userID, this.#config.userUpdate, (streamID) => {
        this.players.stop(streamID, new ZegoError(Code.STREAM_MISSING, "the stream has ended"));
      });
    }
    roomID;
    token;
    /** The standing connection; null while it is being made or made again. */
    wire = null;
    publishers = /* @__PURE__ */ new Map();
    publishing = new Line();
    players = new Players(this);
    user;
    turnServers;
    #config;
    #addresses;
    #retryTime;
    #roster;
    #onLeft;
    #sessionID = "";
    #ended = false;
    #opening = null;
    #wake = null;
    #heartbeat;
    #unwatch = () => {
    };
    async login() {
      this.#setState("CONNECTING", 0, "", "LOGINING");
      try {
        if (this.#ended) throw new ZegoError(Code.NOT_LOGGED_IN, "logged out while logging in");
        await this.#connect("LOGINED");
      } catch (e) {
        const error = asZegoError(e, Code.SERVER_ERROR);
        this.#end(error.errorCode, error.extendedData, "LOGIN_FAILED");
        throw error;
      }
      if (this.#ended) throw new ZegoError(Code.NOT_LOGGED_IN, "logged out while logging in");
      this.#unwatch = watchSurroundings(() => this.#probe(), () => this.logout());
      return true;
    }
    logout() {
      if (this.#ended) return;
      const wire = this.wire;
      this.#end(0, "", "LOGOUT", () => {
        wire?.call("logoutRoom", { roomID: this.roomID }, FAREWELL_TIMEOUT).catch(() => {
        }).then(() => wire.close());
      });
    }
    call(method, params) {
      if (!this.wire) return Promise.reject(new ZegoError(Code.RETRYING, "the connection is being made again"));
      return this.wire.call(method, params);
    }
    /** Sends in its turn what needs no answer. */
    tell(line, method, params) {
      const wire = this.wire;
      if (wire) line.add(() => wire === this.wire ? wire.call(method, params) : void 0);
    }
    /** The media connection died under a living wire: both are made anew. */
    recover() {
      this.wire?.abandon();
    }
    async #connect(reason) {
      let error = new ZegoError(Code.SOCKET_CLOSED, "there is no server");
      for (const address of this.#addresses) {
        let wire = null;
        try {
          wire = this.#opening = await Wire.open(address);
          if (this.#ended) break;
          const result = await wire.call("loginRoom", {
            roomID: this.roomID,
            token: this.token,
            user: this.user,
            config: this.#config,
            ...this.#sessionID ? { sessionID: this.#sessionID } : {}
          });
          if (this.#ended) break;
          this.#opening = null;
          this.#connected(wire, result, reason);
          return;
        } catch (e) {
          wire?.close();
          error = asZegoError(e, Code.SERVER_ERROR);
          if (!TRANSIENT.has(error.errorCode)) break;
        }
      }
      if (this.#ended) {
        this.#opening?.close();
        throw new ZegoError(Code.NOT_LOGGED_IN, "logged out while logging in");
      }
      throw error.errorCode === Code.CALL_TIMEOUT ? new ZegoError(Code.LOGIN_TIMEOUT, error.extendedData) : error;
    }
    #connected(wire, result, reason) {
      this.wire = wire;
      this.#sessionID = result.sessionID || "";
      clearInterval(this.#heartbeat);
      this.#heartbeat = setInterval(() => {
        if (Date.now() - wire.heard > SILENCE_LIMIT) this.#probe();
      }, SILENCE_LIMIT / 3);
      const here = () => this.wire === wire;
      this.#setState("CONNECTED", 0, "", reason);
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
    #dropped() {
      this.wire = null;
      clearInterval(this.#heartbeat);
      this.#setState("CONNECTING", Code.RETRYING, "the connection was lost", "RECONNECTING");
      for (const publisher of [...this.publishers.values()]) publisher.suspend();
      this.players.suspend();
      if (!this.#ended) this.#reconnect();
    }
    async #reconnect() {
      const deadline = Date.now() + this.#retryTime * 1e3;
      for (let attempt = 0; !this.#ended; attempt++) {
        if (attempt > 0) await this.#pause(Math.min(RETRY_MOST, RETRY_FIRST * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2));
        if (this.#ended) return;
        try {
          await this.#connect("RECONNECTED");
          return;
        } catch (e) {
          if (this.#ended) return;
          const error = asZegoError(e, Code.SERVER_ERROR);
          if (!TRANSIENT.has(error.errorCode)) {
            this.#end(error.errorCode, error.extendedData, "RECONNECT_FAILED");
          } else if (Date.now() >= deadline) {
            this.#end(Code.RETRY_EXCEEDED, error.extendedData, "RECONNECT_FAILED");
          }
        }
      }
    }
    /** Waits; a network that is back and a logout cut it short. */
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
      this.#wake?.();
      const wire = this.wire;
      if (!wire) return;
      const asked = Date.now();
      wire.call("ping", {}, PROBE_TIMEOUT).catch(() => {
        if (wire === this.wire && wire.heard < asked) wire.abandon();
      });
    }
    #end(errorCode, extendedData, reason, farewell) {
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
      this.#setState("DISCONNECTED", errorCode, extendedData, reason);
    }
    #setState(state, errorCode, extendedData, reason) {
      this.events.emit("roomStateUpdate", this.roomID, state, errorCode, extendedData);
      this.events.emit("roomStateChanged", this.roomID, reason, errorCode, extendedData);
    }
    /** What the server tells. */
    #notice(wire, method, params) {
      const { events, roomID } = this;
      switch (method) {
        case "roomStateUpdate":
          if (params.state === "DISCONNECTED") this.#end(params.errorCode || 0, params.extendedData || "", "KICKOUT");
          break;
        case "roomUserUpdate":
          this.#roster.usersChanged(params.updateType, params.userList || []);
          break;
        case "roomStreamUpdate":
          this.#roster.streamsChanged(params.updateType, params.streamList || [], params.extendedData || "");
          break;
        case "streamExtraInfoUpdate":
          this.#roster.extraInfoChanged(params.streamList || []);
          break;
        case "roomExtraInfoUpdate":
          events.emit(method, roomID, params.roomExtraInfoList || []);
          break;
        case "roomOnlineUserCountUpdate":
          events.emit(method, roomID, params.count);
          break;
        case "publisherStateUpdate":
          this.#publisherTold(params);
          break;
        case "playerStateUpdate":
          this.#playerTold(params);
          break;
        case "tokenWillExpire":
          events.emit(method, roomID);
          break;
        case "IMRecvBroadcastMessage":
        case "IMRecvBarrageMessage":
          events.emit(method, roomID, params.list || []);
          break;
        case "IMRecvCustomCommand":
          events.emit(method, roomID, params.fromUser, params.command || "");
          break;
        case "offer":
          this.players.offer(wire, params);
          break;
      }
    }
    #publisherTold({ streamID, state, errorCode, extendedData }) {
      const publisher = this.publishers.get(streamID);
      if (!publisher || !errorCode) return;
      if (state === "NO_PUBLISH") publisher.fail(new ZegoError(errorCode, extendedData || ""));
      if (state === "PUBLISH_REQUESTING") publisher.restart(errorCode, extendedData || "");
    }
    #playerTold({ streamID, state, errorCode, extendedData }) {
      if (state !== "NO_PLAY" || !errorCode) return;
      if (errorCode === Code.PLAY_INTERRUPTED) this.players.restart(streamID, extendedData || "");
      else this.players.stop(streamID, new ZegoError(errorCode, extendedData || ""));
    }
  }
  class ZegoStreamView {
    constructor(media, muted) {
      this.media = media;
      this.muted = muted;
    }
    #element = null;
    /** Plays it in the element of that id, or unseen in the page. A local stream is shown, not heard. */
    play(elementID) {
      this.stop();
      const element = this.#element = document.createElement("audio");
      element.autoplay = true;
      element.muted = this.muted;
      element.srcObject = this.media;
      const place = elementID === void 0 ? null : document.getElementById(elementID);
      (place ?? document.body).append(element);
      element.play().catch(() => {
      });
    }
    playAudio() {
      this.play();
    }
    pause() {
      this.#element?.pause();
    }
    resume() {
      this.#element?.play().catch(() => {
      });
    }
    stop() {
      if (!this.#element) return;
      this.#element.srcObject = null;
      this.#element.remove();
      this.#element = null;
    }
  }
  const RETRY_TIME = 300;
  const OK = { errorCode: 0, extendedData: "" };
  class ZegoExpressEngine extends Absent {
    appID;
    #addresses;
    #retryTime = RETRY_TIME;
    #events = new Events();
    #media = new Media(this.#events);
    #data = new PageData();
    #mini;
    #components;
    #local = new LocalStreams(this.#media);
    #turnServers = [];
    #destroyed = false;
    /** server: address(es) of the room service, ws, wss, or the origin that serves it; options are accepted and unused. */
    constructor(appID, server, options) {
      super();
      this.appID = Number(appID);
      this.#addresses = socketAddresses(server);
      const wx2 = miniProgram();
      this.#mini = wx2 && new MiniComponents(wx2, this.#media, this.#data, this.#events);
      this.#components = this.#mini ?? new BrowserComponents(this.#media, this.#data);
    }
    on(event, callback) {
      return this.#events.on(event, callback);
    }
    off(event, callback) {
      return this.#events.off(event, callback);
    }
    // The room.
    async loginRoom(roomID, token, user, config) {
      if (this.#destroyed) throw new ZegoError(Code.NOT_LOGGED_IN, "the engine is destroyed");
      checkLogin(roomID, token, user);
      if (this.#media.room) throw new ZegoError(Code.ALREADY_LOGGED_IN, `room ${this.#media.room.roomID} is not logged out`);
      const login = { roomID, token, user, config, addresses: this.#addresses, retryTime: this.#retryTime, turnServers: this.#turnServers };
      const room = new Room(this.#events, login, () => {
        this.#components.left();
        this.#media.left(room);
      });
      this.#media.room = room;
      return room.login();
    }
    logoutRoom(roomID) {
      const room = this.#media.room;
      if (room && (roomID === void 0 || roomID === room.roomID)) room.logout();
    }
    /** Leaves one room and enters another as the same user. */
    async switchRoom(fromRoomID, toRoomID, config) {
      const room = this.#media.room;
      if (!room || room.roomID !== fromRoomID) throw new ZegoError(Code.NOT_LOGGED_IN, `not logged in to ${fromRoomID}`);
      checkLogin(toRoomID, config?.token, room.user);
      room.logout();
      return this.loginRoom(toRoomID, config.token, room.user, config);
    }
    /** Returns whether the token looks like one; the server's word on it comes at the next login. */
    renewToken(token, roomID) {
      if (typeof token !== "string" || !/^04[0-9A-Za-z+/]+=*$/.test(token)) return false;
      const room = this.#media.room;
      if (!room || roomID !== void 0 && roomID !== room.roomID) return false;
      const before = room.token;
      room.token = token;
      room.call("renewToken", { roomID: room.roomID, token }).catch((e) => {
        if (TRANSIENT.has(e.errorCode)) return;
        if (room.token === token) room.token = before;
        console.warn(`renewToken: ${e.errorCode} ${e.extendedData}`);
      });
      return true;
    }
    sendBroadcastMessage(roomID, message) {
      return this.#ask(roomID, "sendBroadcastMessage", { roomID, message });
    }
    /** To everybody else, as a broadcast; more of them may be sent. */
    sendBarrageMessage(roomID, message) {
      return this.#ask(roomID, "sendBarrageMessage", { roomID, message });
    }
    /** To some users of the room; an empty list is everybody else. */
    sendCustomCommand(roomID, command, toUserIDList = []) {
      return this.#ask(roomID, "sendCustomCommand", { roomID, command, toUserIDList });
    }
    /** Attaches a text to the room for all who are in it and who come; one key. An empty text takes it away. */
    setRoomExtraInfo(roomID, key, value) {
      return this.#ask(roomID, "setRoomExtraInfo", { roomID, key, value });
    }
    async #ask(roomID, method, params) {
      const room = this.#media.room;
      if (!room || roomID !== void 0 && roomID !== room.roomID) throw new ZegoError(Code.NOT_LOGGED_IN, "not logged in");
      await room.call(method, params);
      return { ...OK };
    }
    // Local streams: in a browser.
    /** Opens the microphone, or takes the sound of custom.source. */
    createStream(options = {}) {
      return this.#local.create(options);
    }
    async createZegoStream(options = {}) {
      return new ZegoLocalStream(await this.#local.create(options));
    }
    destroyStream(stream) {
      this.#local.destroy(stream);
    }
    /** The microphones there are; names are empty until one was allowed. */
    getMicrophones() {
      return microphones();
    }
    /** Switches a stream of createStream to another microphone, also while it is published. */
    async useAudioDevice(stream, deviceID) {
      await this.#local.use(stream, deviceID);
      return { ...OK };
    }
    /** Shows a local stream without letting it be heard. */
    createLocalStreamView(stream) {
      return viewOf(stream, true);
    }
    /** Plays what startPlayingStream resolved with. */
    createRemoteStreamView(stream) {
      return viewOf(stream, false);
    }
    startPublishingStream(streamID, stream, options) {
      const mini = this.#mini;
      if (mini) return quietly(() => mini.startPush(streamID));
      const room = this.#media.room;
      if (!room) throw new ZegoError(Code.NOT_LOGGED_IN, "not logged in");
      checkStreamID(streamID);
      const media = mediaOf(stream);
      if (!media) throw new ZegoError(Code.BAD_STREAM, "no local stream is given");
      if (room.publishers.has(streamID)) return false;
      const audioBitrate = this.#local.bitrateOf(media);
      this.#media.publish(streamID, async () => media, { ...audioBitrate ? { audioBitrate } : {}, ...options }, false, () => {
      });
      return true;
    }
    stopPublishingStream(streamID) {
      return this.#mini ? this.#mini.stopPush(streamID) : this.#media.stopPublishing(streamID);
    }
    mutePublishStreamAudio(which, mute) {
      const muted = Boolean(mute === void 0 ? which : mute);
      if (!this.#mini) return this.#media.mutePublished(muted, mute === void 0 ? void 0 : which);
      this.#components.setPusherAttributes({ enableMic: !muted });
      return true;
    }
    /** Of no effect in a browser: this service carries sound only. */
    mutePublishStreamVideo(which, mute) {
      const muted = Boolean(mute === void 0 ? which : mute);
      if (this.#mini) this.#components.setPusherAttributes({ enableCamera: !muted });
      return this.#mini !== null;
    }
    setStreamExtraInfo(streamID, extraInfo) {
      const room = this.#media.room;
      const publisher = room?.publishers.get(streamID);
      if (!room || !publisher) return Promise.reject(new ZegoError(Code.NOT_PUBLISHING, `stream ${streamID} is not published here`));
      if (!room.wire) {
        publisher.extraInfo = extraInfo;
        return Promise.resolve({ ...OK });
      }
      return this.#ask(void 0, "setStreamExtraInfo", { streamID, extraInfo }).then((answer) => {
        publisher.extraInfo = extraInfo;
        return answer;
      });
    }
    // Playing.
    /** In a browser: resolves with the sound. */
    startPlayingStream(streamID, options) {
      const mini = this.#mini;
      return mini ? quietly(() => mini.startPlay(streamID)) : this.#media.play(streamID);
    }
    stopPlayingStream(streamID) {
      if (this.#mini) this.#mini.stopPlay(streamID);
      else this.#media.stopPlaying(streamID);
    }
    async mutePlayStreamAudio(streamID, mute) {
      if (!this.#mini) return this.#media.mutePlayed(streamID, Boolean(mute));
      this.#data.setPlayer(streamID, { muteAudio: Boolean(mute) });
      return true;
    }
    /** Of no effect in a browser: this service carries sound only. */
    async mutePlayStreamVideo(streamID, mute) {
      if (this.#mini) this.#data.setPlayer(streamID, { muteVideo: Boolean(mute) });
      return this.#mini !== null;
    }
    // As in mini programs.
    /** Names the page and those of its data that hold the attributes of pusher and players. It comes before createPusher. */
    initContext(context = {}) {
      this.#data.bind(context);
    }
    /** The same pusher every time; config counts on the first call only. null before initContext. */
    createPusher(config) {
      return this.#components.createPusher(config);
    }
    getPusherInstance() {
      return this.#components.getPusherInstance();
    }
    /** The stream's player, made if there is none. In a mini program: null before initContext. */
    getPlayerInstance(streamID, wxContext) {
      return this.#components.getPlayerInstance(streamID, wxContext);
    }
    setPusherAttributes(config, callback) {
      this.#components.setPusherAttributes(config);
      callback?.();
    }
    setPlayerAttributes(streamID, config, callback) {
      this.#data.setPlayer(streamID, config);
      callback?.();
    }
    getPlayerList(streamID) {
      const all = this.#data.players();
      return streamID === void 0 ? all : all.filter((a) => a.id === streamID);
    }
    /** For bindstatechange of live-pusher and live-player. A browser needs none of it. */
    updatePlayerState(streamID, event) {
      this.#components.stateChanged(streamID, event);
    }
    /** For bindnetstatus of both. */
    updatePlayerNetStatus(streamID, event) {
      this.#components.netStatusChanged(streamID, event);
    }
    /** For bindaudiovolumenotify of both. */
    updateAudioVolumeNotify(streamID, event) {
      this.#components.volumeChanged(streamID, event);
    }
    // The rest.
    /** Switches soundLevelUpdate; interval in ms, 100 to 3000. */
    setSoundLevelDelegate(on, interval = 1e3) {
      this.#media.figures.setSoundLevels(on, interval);
    }
    async checkSystemRequirements(type) {
      const wx2 = miniProgram();
      const webRTC = typeof RTCPeerConnection === "function";
      const microphone = wx2 ? wx2.createLivePusherContext !== void 0 : microphoneAllowed();
      let msg = "";
      if (wx2 && !microphone) msg = "this WeChat is too old: it has no live-pusher";
      else if (!wx2 && !webRTC) msg = "WebRTC is missing";
      else if (!microphone) msg = "no microphone: the page is served neither by https nor from localhost";
      return {
        result: msg === "",
        errInfo: msg === "" ? {} : { extendedData: msg },
        webRTC,
        microphone,
        customCapture: typeof MediaStream === "function",
        camera: false,
        screenSharing: false,
        videoCodec: {},
        code: msg === "" ? 0 : wx2 || !webRTC ? 10001 : 10002,
        msg
      };
    }
    /** Before a login: "room_retry_time=SECONDS". Others are accepted. */
    setEngineConfig(config) {
      const m = /^room_retry_time=(\d+)$/.exec(config);
      if (m) this.#retryTime = Number(m[1]);
    }
    /** Before a login: relays for media connections that do not come up otherwise. */
    setTurnServer(servers) {
      this.#turnServers = [...servers];
    }
    /** What the latest publishQualityUpdate of the stream said. */
    getPublishingStreamQuality(streamID) {
      return this.#media.figures.latest("push", streamID);
    }
    /** What the latest playQualityUpdate of the stream said. */
    getPlayingStreamQuality(streamID) {
      return this.#media.figures.latest("pull", streamID);
    }
    getVersion() {
      return "1.0.0";
    }
    /** Logs out, lets go of microphone and timers, forgets the callbacks. */
    destroyEngine() {
      this.logoutRoom();
      this.#destroyed = true;
      this.#components.stopPlayers();
      this.#local.end();
      this.#media.figures.setSoundLevels(false, 0);
      this.#events.clear();
    }
  }
  function viewOf(stream, muted) {
    const media = mediaOf(stream);
    if (!media) throw new ZegoError(Code.BAD_STREAM, "this is no stream");
    return new ZegoStreamView(media, muted);
  }
  const umd = Object.assign(ZegoExpressEngine, { ZegoExpressEngine, ZegoError, ZegoLocalStream, ZegoStreamView, default: ZegoExpressEngine });
  return umd;
}));
