// @ts-check
import { closes, comesBack } from './close-codes.js';

const BACKOFF = { base: 500, cap: 20_000 };
const OPENING = 10_000;
const SILENCE = 10_000;
const STEADY = 5_000;

/** Closes without a reason in the table, in words for someone who chats. @type {Record<number, string>} */
const words = {
  1000: 'the server ended it',
  1005: 'the server ended it without saying why',
  1006: '',
  1009: 'a message was longer than the server takes',
};

/**
 * Where a connection stands. `why` says in words what ended it, as far as is known, `until` when it is tried again (`performance.now()`).
 *
 * @typedef {{ name: 'connecting' | 'live' }
 *   | { name: 'waiting' | 'offline', why: string, until: number }
 *   | { name: 'closed', why: string }} State
 */

/**
 * A WebSocket that comes back. A lost connection is tried again after a random part of a delay that doubles, and at once
 * when the network or the tab's reader returns; never again after a close that means "don't", until `connect()`.
 */
export class Connection {
  #url;
  #on;
  /** @type {WebSocket | undefined} */
  #socket;
  /** @type {State} */
  #state = { name: 'connecting' };
  #attempts = 0;
  #liveSince = Number.POSITIVE_INFINITY;
  #offlineWhileLive = false;
  /** @type {number | undefined} */
  #timer;
  /** @type {number | undefined} */
  #watchdog;

  /**
   * @param {URL} url
   * @param {{ state: (state: State) => void, frame: (text: string) => void }} on
   */
  constructor(url, on) {
    this.#url = url;
    this.#on = on;
    addEventListener('online', () => {
      // A socket that lived through a change of networks may be dead without knowing.
      if (this.#offlineWhileLive) this.#lost(1006, '');
      this.#hurry();
    });
    addEventListener('offline', () => {
      this.#offlineWhileLive = this.live;
      if (this.#state.name === 'waiting') this.#enter({ ...this.#state, name: 'offline' });
    });
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#hurry();
    });
  }

  get live() {
    return this.#state.name === 'live';
  }

  /** Connects now, whatever it was waiting for. */
  connect() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(1006, ''), OPENING);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#liveSince = performance.now();
      this.#enter({ name: 'live' });
    };
    socket.onmessage = ({ data }) => {
      clearTimeout(this.#watchdog);
      this.#watchdog = undefined;
      this.#on.frame(String(data));
    };
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#enter({ name: 'connecting' });
  }

  /** Hands one message to the server; only when live. @param {string} text */
  send(text) {
    this.#socket?.send(text);
    // What is sent comes back, so silence means a dead line: a browser would notice after many minutes only.
    this.#watchdog ??= setTimeout(() => this.#lost(1006, ''), SILENCE);
  }

  #hurry() {
    if (this.#state.name === 'waiting' || this.#state.name === 'offline') this.connect();
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    const socket = this.#socket;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#socket = undefined;
    this.#offlineWhileLive = false;
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    this.#watchdog = undefined;

    const known = Object.values(closes).find((close) => close.code === code);
    const why = words[code] ?? (known?.reason || reason || `code ${code}`);
    if (!comesBack(code)) {
      this.#enter({ name: 'closed', why });
      return;
    }
    // A server that takes connections only to drop them must not be tried faster for it.
    if (performance.now() - this.#liveSince > STEADY) this.#attempts = 0;
    this.#liveSince = Number.POSITIVE_INFINITY;
    const delay = Math.random() * Math.min(BACKOFF.cap, BACKOFF.base * 2 ** this.#attempts++);
    this.#timer = setTimeout(() => this.connect(), delay);
    this.#enter({ name: navigator.onLine ? 'waiting' : 'offline', why, until: performance.now() + delay });
  }

  /** @param {State} state */
  #enter(state) {
    this.#state = state;
    this.#on.state(state);
  }
}
