import { Client, type ClientContext } from '../../src/client/client.ts';
import type { Draft, Engine } from '../../src/hub/engine.ts';
import { Hub, type HubOptions } from '../../src/hub/hub.ts';
import type { Member } from '../../src/hub/room.ts';
import type { Subscriber } from '../../src/hub/subscriber.ts';
import type { Place } from '../../src/protocol/v1.ts';
import type { Wire } from '../../src/wire/wire.ts';
import type { Seen } from './wire.ts';

/** One stay of a client in a room: it must be handed the records after `start` up to `end`, in order. */
interface Stay {
  start: number;
  end: number;
  /** The place it asked to go on from. */
  readonly since: Place | undefined;
  /** In which of the room's lives it asked. */
  readonly life: number;
}

/** What must hold of the Hub, kept in the simplest way: what was posted, in the order it was taken. */
export class Model {
  /** What was sent to each room in its present life, without what the engine failed to store. */
  readonly #sent = new Map<string, string[]>();
  /** How much of it the engine has committed. */
  readonly #committed = new Map<string, number>();
  readonly #lives = new Map<string, number>();
  readonly #slow: boolean;
  /** What the Hub did wrong, seen while it did it. */
  wrong: string | undefined;
  /** Joins that have not been answered; undefined for those of a room the client was in. */
  readonly #asked = new Map<string, (Stay | undefined)[]>();
  readonly #stays = new Map<string, Stay[]>();

  /** @param slow the engine decides later: who joins starts at what is committed then. */
  constructor(slow: boolean) {
    this.#slow = slow;
  }

  committed(room: string, records: number): void {
    this.#committed.set(room, (this.#committed.get(room) ?? 0) + records);
  }

  /** The oldest of what the engine has not decided on is not stored: it was never said, and those who left after it left earlier. */
  failed(room: string, drafts: number): void {
    const first = this.#committed.get(room) ?? 0;
    this.sent(room).splice(first, drafts);
    for (const [key, stays] of this.#stays) {
      if (key.split(' ')[1] !== room) continue;
      for (const stay of stays) {
        if (stay.life === this.#lifeOf(room) && stay.end > first && stay.end < Number.POSITIVE_INFINITY)
          stay.end -= Math.min(drafts, stay.end - first);
      }
    }
  }

  sent(room: string): string[] {
    const sent = this.#sent.get(room) ?? [];
    this.#sent.set(room, sent);
    return sent;
  }

  /** The room has left memory: its next life starts at 1 again. */
  released(room: string): void {
    this.#sent.delete(room);
    this.#committed.delete(room);
    this.#lives.set(room, this.#lifeOf(room) + 1);
  }

  registered(client: string, room: string, since: Place | undefined): void {
    const stays = this.#staysOf(client, room);
    const present = stays.at(-1)?.end === Number.POSITIVE_INFINITY;
    const stay = { start: this.sent(room).length, end: Number.POSITIVE_INFINITY, since, life: this.#lifeOf(room) };
    if (!present) stays.push(stay);
    const key = `${client} ${room}`;
    this.#asked.set(key, [...(this.#asked.get(key) ?? []), present ? undefined : stay]);
  }

  /** A join was answered: at the head of when it was asked for or, where it is behind, after a place of its own choosing. */
  joined(client: string, room: string, at: Place, head: number, recovered: boolean): void {
    const stay = this.#asked.get(`${client} ${room}`)?.shift();
    if (!stay) return;
    if (this.#slow) {
      // Who comes back before its leave was carried out has left at once.
      const stays = this.#staysOf(client, room);
      const before = stays[stays.indexOf(stay) - 1];
      if (before?.life === stay.life) before.end = Math.min(before.end, head);
      stay.start = at.seq;
    }
    if (at.seq === head) return;
    stay.start = at.seq;
    const asked = at.seq === stay.since?.seq && at.epoch === stay.since.epoch;
    if (recovered && !asked)
      this.wrong = `${client} joined ${room} at ${JSON.stringify(at)}, not ${JSON.stringify(stay.since)}`;
  }

  unregistered(client: string, room: string | undefined): void {
    for (const [key, stays] of this.#stays) {
      const last = stays.at(-1);
      const [who, where = ''] = key.split(' ');
      if (who !== client || (room !== undefined && where !== room) || !last) continue;
      if (last.end === Number.POSITIVE_INFINITY) last.end = this.sent(where).length;
    }
  }

  /**
   * Checks what a client received from the rooms against what it should have.
   * @param gone the client was closed: what it received may end early. @param fast it never stopped reading: each finished
   * stay must be whole. @returns what is wrong, or undefined.
   */
  check(client: string, received: readonly Seen[], gone: boolean, fast: boolean): string | undefined {
    const rooms = new Set([...received.map(({ room }) => room), ...this.#roomsOf(client)]);
    for (const room of rooms) {
      const seqs = received.filter((record) => record.room === room).map(({ seq }) => seq);
      const wrong = checkStays(this.#staysOf(client, room), seqs, this.sent(room).length, gone, fast);
      if (wrong) return `${client} in ${room}: ${wrong}`;
    }
    return undefined;
  }

  #lifeOf(room: string): number {
    return this.#lives.get(room) ?? 0;
  }

  #roomsOf(client: string): string[] {
    return [...this.#stays.keys()]
      .filter((key) => key.startsWith(`${client} `))
      .map((key) => key.split(' ')[1] as string);
  }

  #staysOf(client: string, room: string): Stay[] {
    const key = `${client} ${room}`;
    const stays = this.#stays.get(key) ?? [];
    this.#stays.set(key, stays);
    return stays;
  }
}

function checkStays(stays: readonly Stay[], seqs: readonly number[], head: number, gone: boolean, fast: boolean) {
  /** Whether the stays from `i` on explain what came from `at` on. A stay that was cut short may have got less than it could. */
  const explains = (i: number, at: number): boolean => {
    const stay = stays[i];
    if (!stay) return at === seqs.length;
    const present = stay.end === Number.POSITIVE_INFINITY;
    const whole = !gone && (present || fast);
    const due = present ? head : stay.end;
    let last = stay.start;
    while (seqs[at + last - stay.start] === last + 1 && last < due) last++;
    if (whole) return last === due && explains(i + 1, at + last - stay.start);
    for (; last >= stay.start; last--) if (explains(i + 1, at + last - stay.start)) return true;
    return false;
  };
  return explains(0, 0) ? undefined : `it stayed ${JSON.stringify(stays)} of ${head}, and got ${seqs}`;
}

/** A client whose joins the model sees. */
export class WatchedClient extends Client {
  readonly #model: Model;
  readonly #hub: Hub;

  constructor(id: string, wire: Wire, context: ClientContext, model: Model) {
    super(id, wire, context);
    this.#hub = context.hub;
    this.#model = model;
  }

  override joined(name: string, recovered: boolean): void {
    super.joined(name, recovered);
    const member = this.#hub.memberships(this).find(({ room }) => room.name === name) as Member;
    const at = { epoch: member.room.epoch, seq: member.cursor };
    this.#model.joined(this.id, name, at, member.room.log.head, recovered);
  }
}

/** A Hub whose accepted posts the model sees. */
export class WatchedHub extends Hub {
  readonly #model: Model;

  constructor(options: HubOptions, model: Model) {
    super({ ...options, engine: watched(options.engine, model) });
    this.#model = model;
  }

  override register(subscriber: Subscriber, room: string, since?: Place, history?: number): boolean {
    const taken = super.register(subscriber, room, since, history);
    if (taken && !subscriber.closed) this.#model.registered(subscriber.id, room, since);
    return taken;
  }

  override unregister(subscriber: Subscriber, room?: string): boolean {
    const taken = super.unregister(subscriber, room);
    if (taken) this.#model.unregistered(subscriber.id, room);
    return taken;
  }

  override broadcast(draft: Draft): boolean {
    const taken = super.broadcast(draft);
    if (taken) this.#model.sent(draft.room).push(draft.data);
    return taken;
  }
}

function watched(engine: Engine, model: Model): Engine {
  return {
    ...engine,
    open(listener) {
      return engine.open({
        committed(commit) {
          model.committed(commit.room, commit.records.length);
          listener.committed(commit);
        },
        failed(room, drafts) {
          model.failed(room, drafts);
          listener.failed(room, drafts);
        },
      });
    },
    release(room) {
      model.released(room);
      engine.release(room);
    },
  };
}
