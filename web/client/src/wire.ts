import { Code, ZegoError, asZegoError } from './codes';
import { openSocket, type Socket } from './platform';

const CALL_TIMEOUT = 10_000; // ms for one answer of the server
const CONNECT_TIMEOUT = 10_000; // ms for one socket to open

type Notice = (method: string, params: any) => void;
interface Call {
  resolve(result: any): void;
  reject(error: ZegoError): void;
  timer: ReturnType<typeof setTimeout>;
}

/** One socket with JSON-RPC 2.0: calls, their answers, notifications. Notifications wait until `release`. */
export class Wire {
  /** Time of the last message, ms. */
  heard = Date.now();
  #socket: Socket;
  #next = 1;
  #calls = new Map<number, Call>();
  #held: [string, any][] | null = [];
  #onNotice: Notice = () => {};
  #onClose: (() => void) | null = null;
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.onmessage = (text) => this.#receive(text);
    socket.onclose = (reason) => this.#end(reason);
  }

  /** Rejects with SOCKET_CLOSED. */
  static open(address: string): Promise<Wire> {
    return new Promise((resolve, reject) => {
      let socket: Socket;
      try {
        socket = openSocket(address);
      } catch (e) {
        reject(asZegoError(e, Code.SOCKET_CLOSED));
        return;
      }
      const timer = setTimeout(() => {
        socket.onclose = null;
        socket.close();
        reject(new ZegoError(Code.SOCKET_CLOSED, `no connection to ${address} in ${CONNECT_TIMEOUT / 1000} s`));
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
  release(onNotice: Notice, onClose: () => void): void {
    this.#onNotice = onNotice;
    this.#onClose = onClose;
    const held = this.#held ?? [];
    this.#held = null;
    for (const [method, params] of held) onNotice(method, params);
    if (this.#closed) onClose();
  }

  /** The result; rejects with a ZegoError. */
  call(method: string, params: object, timeout = CALL_TIMEOUT): Promise<any> {
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
  close(): void {
    this.#onClose = null;
    this.#end('closed');
    this.#socket.close();
  }

  /** Gives the connection up as if the network had: onClose is told. */
  abandon(): void {
    this.#end('given up');
    this.#socket.close();
  }

  #receive(text: string): void {
    this.heard = Date.now();
    let message: any;
    try {
      message = JSON.parse(text);
    } catch {
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

  #end(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const call of this.#calls.values()) {
      clearTimeout(call.timer);
      call.reject(new ZegoError(Code.SOCKET_CLOSED, reason || 'the connection was lost'));
    }
    this.#calls.clear();
    this.#onClose?.();
  }
}
