import type { Place } from '../protocol/v1.ts';
import type { Cursor, CursorListener, CursorPage, CursorStore, StoredCursor, WebhookState } from './cursor.ts';
import { CursorFile } from './cursor-file.ts';

export interface LocalCursorsOptions {
  /** The webhooks that this process delivers: all. */
  readonly webhooks: readonly string[];
  /** A file that keeps the cursors. @default memory: they end with the process */
  readonly path?: string;
  /** Whether the engine forgets a room when it is released. @default false */
  readonly forgets?: boolean;
}

/** A line of the file. A removed cursor has no fields. */
type Line = [
  webhook: string,
  room: string,
  ...fields: [version: number, epoch: string, seq: number, batch: Cursor['batch'] | null, heads?: Cursor['heads']] | [],
];

const PAGE = 200;

/** The cursors of a process that is alone with its rooms: in memory, and perhaps in a file. */
export class LocalCursors implements CursorStore {
  readonly forgets: boolean;
  readonly #webhooks: readonly string[];
  readonly #cursors = new Map<string, Map<string, StoredCursor>>();
  readonly #states = new Map<string, WebhookState>();
  readonly #replays = new Map<string, number>();
  readonly #file: CursorFile | undefined;
  #listener!: CursorListener;

  constructor({ webhooks, path, forgets = false }: LocalCursorsOptions) {
    this.#webhooks = webhooks;
    this.forgets = forgets;
    const failed = (error: Error) => this.#listener.failed(error);
    this.#file = path === undefined ? undefined : new CursorFile(path, () => this.#linesInForce(), failed);
  }

  open(listener: CursorListener): void {
    this.#listener = listener;
    this.#file?.open((line) => this.#read(line));
    for (const webhook of this.#webhooks) listener.acquired(webhook);
  }

  create(webhook: string, room: string, cursor: Cursor): void {
    if (this.#of(webhook).has(room)) return;
    this.#of(webhook).set(room, { ...cursor, version: 0 });
    try {
      this.#write(lineOf(webhook, room, { ...cursor, version: 0 }));
    } catch (error) {
      this.#listener.failed(error as Error); // a room is not refused for its webhooks
      return;
    }
    // The records that follow are flushed a second later at the earliest.
    this.#file?.flushed().catch((error: Error) => this.#listener.failed(error));
  }

  find(webhook: string, room: string): StoredCursor | undefined {
    return this.#cursors.get(webhook)?.get(room);
  }

  async *pages(webhook: string): AsyncIterable<CursorPage> {
    const rooms = [...this.#of(webhook).keys()];
    for (let i = 0; i < rooms.length; i += PAGE) {
      yield rooms.slice(i, i + PAGE).flatMap((room) => {
        const cursor = this.find(webhook, room);
        return cursor ? [[room, cursor] as const] : [];
      });
    }
  }

  save(webhook: string, room: string, cursor: StoredCursor, durable: boolean): boolean | Promise<boolean> {
    const stored = this.find(webhook, room);
    if (stored && stored.version !== cursor.version) return false;
    this.#set(webhook, room, cursor);
    return durable && this.#file ? this.#file.flushed().then(() => true) : true;
  }

  remove(webhook: string, room: string, version: number): void {
    if (this.find(webhook, room)?.version !== version) return;
    this.#cursors.get(webhook)?.delete(room);
    this.#write([webhook, room]);
  }

  replay(webhook: string, places: ReadonlyMap<string, Place>): void | Promise<void> {
    for (const [room, { epoch, seq }] of places) {
      const version = (this.find(webhook, room)?.version ?? 0) + 1;
      this.#set(webhook, room, { epoch, seq, version });
    }
    this.#replays.set(webhook, this.replays(webhook) + 1);
    const [room] = places.keys();
    this.#listener.replayed(webhook, places.size === 1 ? room : undefined);
    return this.#file?.flushed();
  }

  replays(webhook: string): number {
    return this.#replays.get(webhook) ?? 0;
  }

  mark(): void {}

  owns(): boolean {
    return true;
  }

  saveState(webhook: string, state: WebhookState): void {
    this.#states.set(webhook, state);
  }

  state(webhook: string): WebhookState {
    return this.#states.get(webhook) ?? {};
  }

  close(): void | Promise<void> {
    return this.#file?.close();
  }

  #of(webhook: string): Map<string, StoredCursor> {
    const existing = this.#cursors.get(webhook);
    if (existing) return existing;
    const created = new Map<string, StoredCursor>();
    this.#cursors.set(webhook, created);
    return created;
  }

  #set(webhook: string, room: string, cursor: StoredCursor): void {
    this.#write(lineOf(webhook, room, cursor));
    this.#of(webhook).set(room, cursor);
  }

  #write(line: Line): void {
    this.#file?.write(JSON.stringify(line));
  }

  #read(text: string): void {
    const [webhook, room, version, epoch, seq, batch, heads] = JSON.parse(text) as Line;
    const cursors = this.#of(webhook);
    if (version === undefined || epoch === undefined || seq === undefined) cursors.delete(room);
    else cursors.set(room, { version, epoch, seq, ...(batch && { batch }), ...(heads && { heads }) });
  }

  *#linesInForce(): Iterable<string> {
    for (const [webhook, cursors] of this.#cursors) {
      for (const [room, cursor] of cursors) yield JSON.stringify(lineOf(webhook, room, cursor));
    }
  }
}

function lineOf(webhook: string, room: string, { version, epoch, seq, batch, heads }: StoredCursor): Line {
  return heads
    ? [webhook, room, version, epoch, seq, batch ?? null, heads]
    : [webhook, room, version, epoch, seq, batch ?? null];
}
