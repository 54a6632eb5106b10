import type { Draft, EngineListener, LocalEngine } from '../../src/hub/engine.ts';
import type { LogRecord } from '../../src/hub/log.ts';

/** An engine that decides drafts on `decide`, or during `append`. */
export class DecidingEngine implements LocalEngine {
  /** Is called with the number of drafts of each append. */
  onAppend: (room: string, count: number) => void;
  readonly #pending = new Map<string, Draft[]>();
  readonly #records = new Map<string, LogRecord[]>();
  #listener!: EngineListener;

  constructor(immediate: boolean) {
    this.onAppend = (room, count) => immediate && this.decide(room, count, true);
  }

  open(listener: EngineListener): void {
    this.#listener = listener;
  }

  attach(room: string) {
    return this.position(room);
  }

  position(room: string) {
    return { epoch: room, seq: this.records(room).length, first: 1 };
  }

  append(room: string, drafts: readonly Draft[]): void {
    this.pending(room).push(...drafts);
    this.onAppend(room, drafts.length);
  }

  /** Commits the room's oldest pending drafts, or fails them. @returns how many. */
  decide(room: string, count: number, stored: boolean): number {
    const drafts = this.pending(room).splice(0, count);
    if (drafts.length === 0) return 0;
    if (stored) this.#listener.committed({ room, records: drafts.map((draft) => this.#store(draft)), own: true });
    else this.#listener.decided({ room, outcomes: drafts.map(() => ({ kind: 'failed' })) });
    return drafts.length;
  }

  pending(room: string): Draft[] {
    return listOf(this.#pending, room);
  }

  records(room: string): LogRecord[] {
    return listOf(this.#records, room);
  }

  read(room: string, after: number, limit: number): readonly LogRecord[] {
    return this.records(room).slice(after, after + limit);
  }

  release(): void {}

  close(): void {}

  #store({ room, from, sender = '', id, data, json = false, bytes }: Draft): LogRecord {
    const records = this.records(room);
    const record = { seq: records.length + 1, at: 0, from, sender, id, data, json, bytes };
    records.push(record);
    return record;
  }
}

function listOf<T>(lists: Map<string, T[]>, room: string): T[] {
  const list = lists.get(room) ?? [];
  lists.set(room, list);
  return list;
}
