'use strict';
// A WeChat mini program for tests: the logic layer is a bare JavaScript engine
// (no window, document, URL, TextEncoder, WebSocket or WebRTC), the file is a
// CommonJS module, wx is a free variable. Shapes follow WeChat's documentation.

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

/** Loads the client as a mini program does and returns {ZegoExpressEngine, wx, page}. */
function miniProgram(answers = {}) {
  const wx = makeWx(answers);
  const source = fs.readFileSync(path.join(__dirname, '..', 'client.js'), 'utf8');
  const surroundings = { console, setTimeout, clearTimeout, setInterval, clearInterval };
  const wrapped = vm.runInNewContext(`(function (require, module, exports, wx) {${source}\n})`, surroundings);
  const module = { exports: {} };
  wrapped(() => {
    throw new Error('nothing is required');
  }, module, module.exports, wx);
  return { ZegoExpressEngine: module.exports.ZegoExpressEngine, wx, page: new Page() };
}

/** A page or component: data change by setData only, and only by paths that WXML can show. */
class Page {
  data = {};
  /** Every setData. */
  updates = [];

  setData(change, callback) {
    for (const [name, value] of Object.entries(change)) {
      const plain = JSON.parse(JSON.stringify(value)); // what crosses to the view
      this.data[name] = plain;
      this.updates.push([name, plain]);
    }
    if (callback) setTimeout(callback, 0);
  }

  /** What a component's handler gets. */
  static event(type, detail, id = '') {
    return { type, timeStamp: 1, target: { id, dataset: {} }, currentTarget: { id, dataset: {} }, detail };
  }
}

function makeWx(answers) {
  const wx = {
    /** Every SocketTask. */
    sockets: [],
    /** Calls of contexts, as "kind id method". */
    contexts: [],
    /** Calls that reached the service: [method, params]. */
    calls: [],
    answers: {
      loginRoom: (p) => ({ roomID: p.roomID, sessionID: 's1', users: [], streams: [] }),
      logoutRoom: () => ({}), sendBroadcastMessage: () => ({}), renewToken: () => ({}), ...answers,
    },
    reachable: true,
    networkListeners: [],
    connectSocket(options) {
      if (wx.sockets.filter((s) => s.readyState < 2).length >= 5) {
        setTimeout(() => options.fail({ errMsg: 'connectSocket:fail exceed max task count' }), 0);
        return undefined;
      }
      const task = new SocketTask(wx, options.url);
      wx.sockets.push(task);
      return task;
    },
    createLivePusherContext: () => context('pusher', ''),
    createLivePlayerContext: (id, component) => context('player', id, component),
    onNetworkStatusChange: (f) => wx.networkListeners.push(f),
    offNetworkStatusChange: (f) => (wx.networkListeners = wx.networkListeners.filter((g) => g !== f)),
  };
  function context(kind, id, component) {
    wx.contexts.push(`${kind} ${id} made`.replace('  ', ' '));
    const methods = ['start', 'play', 'stop', 'pause', 'resume', 'mute'];
    return { component, ...Object.fromEntries(methods.map((m) => [m, (o) => {
      wx.contexts.push(`${kind} ${id} ${m}`.replace('  ', ' '));
      if (o && o.success) o.success({ errMsg: `${m}:ok` });
    }])) };
  }
  return wx;
}

class SocketTask {
  readyState = 0;
  #on = { open: [], message: [], close: [], error: [] };

  constructor(wx, url) {
    this.wx = wx;
    this.url = url;
    setTimeout(() => {
      if (wx.reachable) {
        this.readyState = 1;
        this.#tell('open', { header: {} });
      } else {
        this.readyState = 3;
        this.#tell('error', { errMsg: 'connect failed' });
        this.#tell('close', { code: 1006, reason: 'abnormal closure' });
      }
    }, 0);
  }

  onOpen(f) {
    this.#on.open.push(f);
  }
  onMessage(f) {
    this.#on.message.push(f);
  }
  onClose(f) {
    this.#on.close.push(f);
  }
  onError(f) {
    this.#on.error.push(f);
  }

  send({ data, fail }) {
    if (this.readyState !== 1) {
      if (fail) setTimeout(() => fail({ errMsg: 'sendSocketMessage:fail' }), 0);
      return;
    }
    const { id, method, params } = JSON.parse(data);
    this.wx.calls.push([method, params]);
    const answer = this.wx.answers[method];
    setTimeout(() => {
      try {
        if (!answer) throw { code: -32601, message: 'unknown method' };
        this.receive({ id, result: answer(params) });
      } catch (error) {
        this.receive({ id, error });
      }
    }, 0);
  }

  receive(message) {
    if (this.readyState === 1) this.#tell('message', { data: JSON.stringify({ jsonrpc: '2.0', ...message }) });
  }

  notify(method, params) {
    this.receive({ method, params });
  }

  /** The network takes it away. */
  cut() {
    this.readyState = 3;
    this.#tell('close', { code: 1006, reason: 'abnormal closure' });
  }

  close({ code = 1000 } = {}) {
    if (this.readyState > 1) return;
    this.readyState = 3;
    this.code = code;
    setTimeout(() => this.#tell('close', { code, reason: '' }), 0);
  }

  #tell(event, value) {
    for (const f of this.#on[event]) f(value);
  }
}

module.exports = { miniProgram, Page };
