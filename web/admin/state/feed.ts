import { effect, signal } from '@preact/signals';
import type { Snapshot } from '../../../src/protocol/snapshot.ts';
import { key, refusal, request } from './access.ts';
import type { Board } from './board.ts';
import { ServerEventParser } from './server-events.ts';

/** The state of the connection to the server. */
export type Connection =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  /** @property reason why the last stream ended; empty where its connection did. */
  | { readonly kind: 'retrying'; readonly reason: string };

// A stream that has been silent for that long is dead: a snapshot comes once a second.
const SILENCE = 10_000;

const FIRST_PAUSE = 500;
const MAX_PAUSE = 5_000;

/** Reads the snapshots of the server, and connects again whenever the stream ends. */
export class Feed {
  readonly connection = signal<Connection>({ kind: 'connecting' });
  readonly #board: Board;

  constructor(board: Board) {
    this.#board = board;
  }

  /** Starts to read, and starts again with each key that the operator enters. */
  start(): void {
    effect(() => {
      const isRefused = refusal.value !== undefined;
      void key.value;
      if (isRefused) return undefined;
      const stopping = new AbortController();
      void this.#run(stopping.signal);
      return () => stopping.abort();
    });
  }

  async #run(stopping: AbortSignal): Promise<void> {
    this.connection.value = { kind: 'connecting' };
    let [pause, reason] = [FIRST_PAUSE, ''];
    const received = () => {
      [pause, reason] = [FIRST_PAUSE, ''];
    };
    while (!stopping.aborted) {
      reason = (await this.#read(stopping, received)) || reason;
      this.#board.disconnected();
      if (stopping.aborted || refusal.peek() !== undefined) return;
      this.connection.value = { kind: 'retrying', reason };
      await sleep(pause);
      pause = Math.min(2 * pause, MAX_PAUSE);
    }
  }

  /** Reads one stream to its end. @returns why it ended, empty where the connection did. */
  async #read(stopping: AbortSignal, received: () => void): Promise<string> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE);
    try {
      const signal = AbortSignal.any([stopping, silence.signal]);
      const response = await request('admin/v1/events', { signal, headers: { Accept: 'text/event-stream' } });
      if (!response.ok || !response.body) return `the server answered with status ${response.status}`;
      const parser = new ServerEventParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || stopping.aborted) return '';
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE);
        for (const { name, data } of parser.push(value)) {
          if (name === 'close') return String(JSON.parse(data).reason);
          if (name === 'snapshot') this.#take(JSON.parse(data));
          received();
        }
      }
    } catch {
      return ''; // the connection failed, was silent, or sent something else than snapshots
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  #take(snapshot: Snapshot): void {
    this.#board.take(snapshot);
    this.connection.value = { kind: 'live' };
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
