import { Client, type ClientContext } from '../../src/client/client.ts';
import type { Draft, Engine } from '../../src/hub/engine.ts';
import { Hub, type HubOptions } from '../../src/hub/hub.ts';
import type { Member } from '../../src/hub/room.ts';
import type { Subscriber } from '../../src/hub/subscriber.ts';
import type { Close } from '../../src/protocol/close-codes.ts';
import type { Place } from '../../src/protocol/v1.ts';
import type { Wire } from '../../src/wire/wire.ts';
import type { ReceivedRecord } from './wire.ts';

/** A membership, in which the client must receive the records `start + 1` to `end`, in order. */
interface Stay {
  start: number;
  end: number;
  /** The place that the join asked for. */
  readonly since: Place | undefined;
  /** The generation of the room that it joined. */
  readonly generation: number;
}

/** Computes in the simplest way what the Hub must deliver, from the posts that it accepted. */
export class Model {
  /** The messages of each room in its current generation, without those that failed. */
  readonly #sent = new Map<string, string[]>();
  /** How many of them the engine has committed. */
  readonly #committed = new Map<string, number>();
  /** How often each room has left memory. */
  readonly #generations = new Map<string, number>();
  readonly #slow: boolean;
  /** The first violation that was found during a turn. */
  violation: string | undefined;
  /** Joins that are not processed yet, by client and room; undefined for one of a member. */
  readonly #pendingJoins = new Map<string, (Stay | undefined)[]>();
  readonly #stays = new Map<string, Stay[]>();

  /** @param slow whether the engine decides later: then a join starts at what is committed. */
  constructor(slow: boolean) {
    this.#slow = slow;
  }

  committed(room: string, records: number): void {
    this.#committed.set(room, (this.#committed.get(room) ?? 0) + records);
  }

  /**
   * The room's oldest undecided drafts are not stored: they count as never sent, which moves the
   * end of later stays.
   */
  failed(room: string, drafts: number): void {
    const first = this.#committed.get(room) ?? 0;
    this.sent(room).splice(first, drafts);
    for (const [key, stays] of this.#stays) {
      if (key.split(' ')[1] !== room) continue;
      for (const stay of stays) {
        if (stay.generation === this.#generationOf(room) && stay.end > first && stay.end < Number.POSITIVE_INFINITY)
          stay.end -= Math.min(drafts, stay.end - first);
      }
    }
  }

  sent(room: string): string[] {
    const sent = this.#sent.get(room) ?? [];
    this.#sent.set(room, sent);
    return sent;
  }

  /** The room has left memory. Its next generation starts at seq 1. */
  released(room: string): void {
    this.#sent.delete(room);
    this.#committed.delete(room);
    this.#generations.set(room, this.#generationOf(room) + 1);
  }

  registered(client: string, room: string, since: Place | undefined): void {
    const stays = this.#staysOf(client, room);
    const isMember = stays.at(-1)?.end === Number.POSITIVE_INFINITY;
    const stay = {
      start: this.sent(room).length,
      end: Number.POSITIVE_INFINITY,
      since,
      generation: this.#generationOf(room),
    };
    if (!isMember) stays.push(stay);
    const key = `${client} ${room}`;
    this.#pendingJoins.set(key, [...(this.#pendingJoins.get(key) ?? []), isMember ? undefined : stay]);
  }

  /** A join was processed: at the head of its time or, if behind, after the place it asked for. */
  joined(client: string, room: string, at: Place, head: number, recovered: boolean): void {
    const stay = this.#pendingJoins.get(`${client} ${room}`)?.shift();
    if (!stay) return;
    if (this.#slow) {
      // A rejoin completes a pending leave at once.
      const stays = this.#staysOf(client, room);
      const before = stays[stays.indexOf(stay) - 1];
      if (before?.generation === stay.generation) before.end = Math.min(before.end, head);
      stay.start = at.seq;
    }
    if (at.seq === head) return;
    stay.start = at.seq;
    const isOwnPlace = at.seq === stay.since?.seq && at.epoch === stay.since.epoch;
    if (recovered && !isOwnPlace) {
      const [start, place] = [JSON.stringify(at), JSON.stringify(stay.since)];
      this.violation ??= `${client} joined ${room} with recovered: true at ${start}, but asked for ${place}`;
    }
  }

  unregistered(client: string, room: string | undefined): void {
    for (const [key, stays] of this.#stays) {
      const last = stays.at(-1);
      const [member, name = ''] = key.split(' ');
      if (member !== client || (room !== undefined && name !== room) || !last) continue;
      if (last.end === Number.POSITIVE_INFINITY) last.end = this.sent(name).length;
    }
  }

  /**
   * Checks the records that a client received.
   *
   * @param closed whether it was closed: then the records may end early.
   * @param fast whether it never stopped reading: then each finished stay must be complete.
   * @returns the violation, or undefined.
   */
  check(client: string, received: readonly ReceivedRecord[], closed: boolean, fast: boolean): string | undefined {
    const rooms = new Set([...received.map(({ room }) => room), ...this.#roomsOf(client)]);
    for (const room of rooms) {
      const seqs = received.filter((record) => record.room === room).map(({ seq }) => seq);
      const violation = checkStays(this.#staysOf(client, room), seqs, this.sent(room).length, closed, fast);
      if (violation) return `${client} in ${room}: ${violation}`;
    }
    return undefined;
  }

  #generationOf(room: string): number {
    return this.#generations.get(room) ?? 0;
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

function checkStays(stays: readonly Stay[], seqs: readonly number[], head: number, closed: boolean, fast: boolean) {
  // Reports whether the stays from `i` on explain the seqs from `at` on. A stay that was cut short
  // may have fewer records than it could.
  const explains = (i: number, at: number): boolean => {
    const stay = stays[i];
    if (!stay) return at === seqs.length;
    const isMember = stay.end === Number.POSITIVE_INFINITY;
    const complete = !closed && (isMember || fast);
    const end = isMember ? head : stay.end;
    let last = stay.start;
    while (seqs[at + last - stay.start] === last + 1 && last < end) last++;
    if (complete) return last === end && explains(i + 1, at + last - stay.start);
    for (; last >= stay.start; last--) if (explains(i + 1, at + last - stay.start)) return true;
    return false;
  };
  if (explains(0, 0)) return undefined;
  return `received ${rangesOf(seqs)}; expected ${stays.map(describe).join(', ')}; the head is ${head}`;
}

function describe({ start, end, generation }: Stay): string {
  const last = end === Number.POSITIVE_INFINITY ? 'the head' : end;
  return `${start + 1} to ${last} (generation ${generation})`;
}

/** Writes 1, 2, 3, 7, 8 as "1 to 3, 7 to 8". */
function rangesOf(seqs: readonly number[]): string {
  const ranges: { first: number; last: number }[] = [];
  for (const seq of seqs) {
    const range = ranges.at(-1);
    if (range && seq === range.last + 1) range.last = seq;
    else ranges.push({ first: seq, last: seq });
  }
  return ranges.map(({ first, last }) => `${first} to ${last}`).join(', ') || 'nothing';
}

/** A client that reports its joins to the model. */
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

/** A Hub that reports the posts that it accepts to the model. */
export class WatchedHub extends Hub {
  readonly #model: Model;

  constructor(options: HubOptions, model: Model) {
    super({ ...options, engine: watchedEngine(options.engine, model) });
    this.#model = model;
  }

  override register(subscriber: Subscriber, room: string, since?: Place, history?: number): boolean {
    const accepted = super.register(subscriber, room, since, history);
    if (accepted && !subscriber.closed) this.#model.registered(subscriber.id, room, since);
    return accepted;
  }

  override unregister(subscriber: Subscriber, room?: string): boolean {
    const accepted = super.unregister(subscriber, room);
    if (accepted) this.#model.unregistered(subscriber.id, room);
    return accepted;
  }

  override closeInOrder(subscriber: Subscriber, close: Close): void {
    super.closeInOrder(subscriber, close);
    this.#model.unregistered(subscriber.id, undefined);
  }

  override broadcast(draft: Draft): boolean {
    const accepted = super.broadcast(draft);
    if (accepted) this.#model.sent(draft.room).push(draft.data);
    return accepted;
  }
}

function watchedEngine(engine: Engine, model: Model): Engine {
  return {
    ...engine,
    open(listener) {
      return engine.open({
        ...listener,
        committed(commit) {
          model.committed(commit.room, commit.records.length);
          listener.committed(commit);
        },
        decided(decision) {
          model.failed(decision.room, decision.outcomes.length);
          listener.decided(decision);
        },
      });
    },
    release(room) {
      model.released(room);
      engine.release(room);
    },
  };
}
