// Where the client runs: a browser, or a WeChat mini program, whose logic runs
// in a bare JavaScript engine with the object wx.

/** One open or opening socket of text messages. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((text: string) => void) | null;
  /** Called once, also when the socket never opened. */
  onclose: ((reason: string) => void) | null;
  send(text: string): void;
  close(): void;
}

/** The part of wx that is used. Names and shapes are those of WeChat's documentation. */
export interface Wx {
  connectSocket(options: { url: string; fail?: (e: { errMsg?: string }) => void }): SocketTask | undefined;
  createLivePusherContext?(): ComponentContext;
  createLivePlayerContext?(id: string, component?: unknown): ComponentContext;
  onNetworkStatusChange?(callback: (state: { isConnected: boolean }) => void): void;
  offNetworkStatusChange?(callback: (state: { isConnected: boolean }) => void): void;
  getSystemInfoSync?(): { SDKVersion?: string };
}

interface SocketTask {
  onOpen(callback: () => void): void;
  onMessage(callback: (message: { data: string | ArrayBuffer }) => void): void;
  onClose(callback: (e: { code?: number; reason?: string }) => void): void;
  onError(callback: (e: { errMsg?: string }) => void): void;
  send(options: { data: string; fail?: () => void }): void;
  close(options: { code?: number }): void;
}

/** A component's context: start, stop, pause, …; each takes {success, fail, complete}. */
export type ComponentContext = Record<string, ((options?: object) => void) | undefined>;

declare const wx: Wx | undefined;

/**
 * The mini program's wx, or null in a browser. It is a free variable there,
 * and no member of a global object. Pages shown inside of WeChat have a wx too,
 * but it opens no sockets.
 */
export function miniProgram(): Wx | null {
  if (typeof wx !== 'object' || wx === null || typeof wx.connectSocket !== 'function') return null;
  return typeof RTCPeerConnection === 'function' ? null : wx;
}

/** Begins to open a socket. What makes that impossible at once comes as onclose, too. */
export function openSocket(address: string): Socket {
  const mini = miniProgram();
  return mini ? new MiniSocket(mini, address) : new BrowserSocket(address);
}

class BrowserSocket implements Socket {
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  #socket: WebSocket;

  constructor(address: string) {
    this.#socket = new WebSocket(address);
    this.#socket.onopen = () => this.onopen?.();
    this.#socket.onmessage = (event) => this.onmessage?.(String(event.data));
    this.#socket.onerror = () => {}; // a close always follows
    this.#socket.onclose = (event) => this.onclose?.(event.reason);
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  close(): void {
    this.#socket.close(1000);
  }
}

class MiniSocket implements Socket {
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  #task: SocketTask | undefined;
  #closed = false;

  constructor(mini: Wx, address: string) {
    this.#task = mini.connectSocket({ url: address, fail: (e) => this.#end(e.errMsg) });
    if (!this.#task) { // too many sockets are open
      Promise.resolve().then(() => this.#end('no socket is free'));
      return;
    }
    this.#task.onOpen(() => this.onopen?.());
    this.#task.onMessage(({ data }) => {
      if (typeof data === 'string') this.onmessage?.(data);
    });
    this.#task.onClose((e) => this.#end(e.reason));
    this.#task.onError((e) => this.#end(e.errMsg));
  }

  send(text: string): void {
    this.#task?.send({ data: text, fail: () => this.#end('the message could not be sent') });
  }

  close(): void {
    this.#task?.close({ code: 1000 });
  }

  #end(reason = ''): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onclose?.(reason);
  }
}

/**
 * Watches the surroundings of a login: online is called when the network is
 * back, gone when the page closes. Returns what ends the watch.
 */
export function watchSurroundings(online: () => void, gone: () => void): () => void {
  const mini = miniProgram();
  if (mini) {
    const changed = ({ isConnected }: { isConnected: boolean }) => {
      if (isConnected) online();
    };
    mini.onNetworkStatusChange?.(changed);
    return () => mini.offNetworkStatusChange?.(changed);
  }
  if (typeof addEventListener !== 'function') return () => {};
  addEventListener('online', online);
  addEventListener('pagehide', gone);
  return () => {
    removeEventListener('online', online);
    removeEventListener('pagehide', gone);
  };
}
