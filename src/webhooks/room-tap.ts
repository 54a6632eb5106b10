import type { Commit, Decision, Draft, Engine, EngineListener, EngineState, Move, Position } from '../hub/engine.ts';
import type { LogRecord } from '../hub/log.ts';
import { andThen, type NowOrLater } from '../protocol/now-or-later.ts';
import type { Place } from '../protocol/v1.ts';

/** Follows the logs of the rooms that are attached. */
export interface TapListener<Follower> {
  /** A room is attached at a position. The user of the engine has it once this has resolved. */
  attached(room: string, position: Position): NowOrLater<void>;
  /** Returns what follows a room. Undefined for a room that nothing follows. */
  follower(room: string): Follower | undefined;
  /** Records were committed to a room. Called for each batch: it must be cheap. */
  committed(follower: Follower, room: string, epoch: string, records: readonly LogRecord[]): void;
  /** Drafts of this process were stored in a room. */
  stored(follower: Follower, room: string): void;
  /** The log of a room goes on elsewhere. `before` is the head until then. */
  moved(follower: Follower, room: string, before: Place): void;
  /** Nothing uses a room any more. */
  released(room: string): void;
  changed(state: EngineState): void;
}

/** A room that is attached, or is being attached. */
interface TappedRoom<Follower> {
  readonly name: string;
  readonly follower: Follower | undefined;
  /** Pending while the engine attaches the room. */
  attaching: Promise<unknown> | undefined;
  /** The user of the engine has the room: it gets what is reported. */
  hasUser: boolean;
  /** The user, attaching or attached, and the holds. */
  uses: number;
  /** The head by what was reported last. The epoch is undefined until the room is attached. */
  epoch: string | undefined;
  seq: number;
}

/**
 * An engine over another one, whose rooms webhooks follow, too. Its user, the Hub or the log of the
 * worker threads, gets the reports of the rooms that it has attached, as from the engine itself. A
 * room stays attached while the user or a hold uses it.
 */
export class TappedEngine<Follower> implements Engine {
  readonly dedupes?: boolean;
  readonly cluster?: NonNullable<Engine['cluster']>;
  readonly divergedEnd?: NonNullable<Engine['divergedEnd']>;
  readonly usage?: NonNullable<Engine['usage']>;
  readonly catchUp?: NonNullable<Engine['catchUp']>;
  readonly #engine: Engine;
  readonly #tap: TapListener<Follower>;
  readonly #rooms = new Map<string, TappedRoom<Follower>>();
  #listener!: EngineListener;

  constructor(engine: Engine, tap: TapListener<Follower>) {
    this.#engine = engine;
    this.#tap = tap;
    if (engine.dedupes !== undefined) this.dedupes = engine.dedupes;
    if (engine.cluster !== undefined) this.cluster = engine.cluster;
    if (engine.usage) this.usage = engine.usage.bind(engine);
    if (engine.divergedEnd) this.divergedEnd = (room, epoch) => engine.divergedEnd?.(room, epoch);
    if (engine.catchUp) this.catchUp = (room, epochs) => engine.catchUp?.(room, epochs) ?? Promise.resolve();
  }

  open(listener: EngineListener): void | Promise<void> {
    this.#listener = listener;
    return this.#engine.open({
      committed: (commit) => this.#committed(commit),
      decided: (decision) => this.#decided(decision),
      moved: (move) => this.#moved(move, 'moved'),
      skipped: (move) => this.#moved(move, 'skipped'),
      changed: (state) => {
        listener.changed(state);
        this.#tap.changed(state);
      },
    });
  }

  attach(name: string): NowOrLater<Position> {
    return this.#use(name, (room) => {
      room.hasUser = true;
    });
  }

  position(room: string): Position {
    return this.#engine.position(room);
  }

  append(room: string, drafts: readonly Draft[]): void {
    this.#engine.append(room, drafts);
  }

  read(room: string, after: number, limit: number): NowOrLater<readonly LogRecord[]> {
    return this.#engine.read(room, after, limit);
  }

  release(name: string): void {
    const room = this.#rooms.get(name);
    if (!room?.hasUser) return;
    room.hasUser = false;
    this.#leave(room);
  }

  close(): void | Promise<void> {
    return this.#engine.close();
  }

  /** Uses a room until `unhold`. Rejects as `attach` does; the room is then not held. */
  hold(name: string): NowOrLater<Position> {
    return this.#use(name, () => {});
  }

  unhold(name: string): void {
    const room = this.#rooms.get(name);
    if (room) this.#leave(room);
  }

  #use(name: string, begin: (room: TappedRoom<Follower>) => void): NowOrLater<Position> {
    const room = this.#rooms.get(name) ?? this.#add(name);
    room.uses++;
    let attached: NowOrLater<unknown>;
    try {
      attached = room.attaching ?? (room.epoch === undefined ? this.#attach(room) : undefined);
    } catch (error) {
      this.#leave(room);
      throw error;
    }
    const start = () => {
      begin(room);
      // In this turn: what the engine reports from now on follows the position.
      return this.#engine.position(name);
    };
    if (!(attached instanceof Promise)) return start();
    return attached.then(start, (error) => {
      this.#leave(room);
      throw error;
    });
  }

  #add(name: string): TappedRoom<Follower> {
    const follower = this.#tap.follower(name);
    const room = { name, follower, attaching: undefined, hasUser: false, uses: 0, epoch: undefined, seq: 0 };
    this.#rooms.set(name, room);
    return room;
  }

  #attach(room: TappedRoom<Follower>): NowOrLater<unknown> {
    const attaching = andThen(this.#engine.attach(room.name), (position) => {
      room.epoch = position.epoch;
      room.seq = position.seq;
      return room.follower === undefined ? undefined : this.#tap.attached(room.name, position);
    });
    if (!(attaching instanceof Promise)) return undefined;
    room.attaching = attaching.finally(() => {
      room.attaching = undefined;
    });
    return room.attaching;
  }

  #leave(room: TappedRoom<Follower>): void {
    if (--room.uses > 0 || this.#rooms.get(room.name) !== room) return;
    this.#rooms.delete(room.name);
    if (room.epoch === undefined) return; // it could not be attached
    this.#engine.release(room.name);
    if (room.follower !== undefined) this.#tap.released(room.name);
  }

  #committed(commit: Commit): void {
    const room = this.#rooms.get(commit.room);
    if (room === undefined) {
      this.#listener.committed(commit);
      return;
    }
    if (room.hasUser) this.#listener.committed(commit);
    const { follower, name, epoch } = room;
    if (follower === undefined || epoch === undefined) return;
    room.seq = commit.records.at(-1)?.seq ?? room.seq;
    this.#tap.committed(follower, name, epoch, commit.records);
    if (commit.own) this.#tap.stored(follower, name);
  }

  #decided(decision: Decision): void {
    this.#listener.decided(decision);
    const room = this.#rooms.get(decision.room);
    if (room?.follower === undefined) return;
    if (decision.outcomes.some(({ kind }) => kind === 'stored')) this.#tap.stored(room.follower, room.name);
  }

  #moved(move: Move, kind: 'moved' | 'skipped'): void {
    const room = this.#rooms.get(move.room);
    if (room === undefined || room.hasUser) this.#listener[kind](move);
    if (room?.follower === undefined || room.epoch === undefined) return;
    const before = { epoch: room.epoch, seq: room.seq };
    room.epoch = move.epoch;
    room.seq = move.seq;
    this.#tap.moved(room.follower, room.name, before);
  }
}
