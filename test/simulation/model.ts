import { Client, type ClientContext } from '../../src/client/client.ts';
import { Hub, type HubOptions } from '../../src/hub/hub.ts';
import type { Cursor, Draft, Engine, Subscriber } from '../../src/hub/ports.ts';
import type { Member } from '../../src/hub/room.ts';
import type { Wire } from '../../src/wire/wire.ts';
import type { Seen } from './wire.ts';

/** One stay of a client in a room: it must be handed the records after `start` up to `end`, in order. */
interface Stay {
  start: number;
  end: number;
  /** The Hub has said that it is in. */
  begun: boolean;
}

/** What must hold of the Hub, kept in the simplest way: what was posted, in the order it was taken. */
export class Model {
  /** What was sent to each room in its present life. */
  readonly #sent = new Map<string, string[]>();
  readonly #stays = new Map<string, Stay[]>();

  sent(room: string): string[] {
    const sent = this.#sent.get(room) ?? [];
    this.#sent.set(room, sent);
    return sent;
  }

  /** The room has left memory: its next life starts at 1 again. */
  released(room: string): void {
    this.#sent.delete(room);
  }

  registered(client: string, room: string): void {
    const stays = this.#staysOf(client, room);
    const present = stays.at(-1);
    if (present?.end === Number.POSITIVE_INFINITY) return;
    stays.push({ start: this.sent(room).length, end: Number.POSITIVE_INFINITY, begun: false });
  }

  /** It has joined: at the head of when it asked or, with `seq`, after a place of its own choosing. */
  joined(client: string, room: string, seq: number | undefined): void {
    const stay = this.#staysOf(client, room).find(({ begun }) => !begun);
    if (stay) Object.assign(stay, { start: seq ?? stay.start, begun: true });
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
  let at = 0;
  for (const { start, end } of stays) {
    let last = start;
    while (at < seqs.length && seqs[at] === last + 1 && last < end) {
      last++;
      at++;
    }
    const whole = end === Number.POSITIVE_INFINITY ? !gone : fast && !gone;
    const due = end === Number.POSITIVE_INFINITY ? head : end;
    if (whole && last !== due) return `joined at ${start}, was handed up to ${last}, not to ${due}; then ${seqs[at]}`;
  }
  return at === seqs.length ? undefined : `after ${seqs[at - 1]} came ${seqs[at]}; it stayed ${JSON.stringify(stays)}`;
}

/** A client whose joins the model sees. */
export class WatchedClient extends Client {
  readonly #model: Model;

  constructor(id: string, wire: Wire, context: ClientContext, model: Model) {
    super(id, wire, context);
    this.#model = model;
  }

  override joined(member: Member, recovered: boolean): void {
    super.joined(member, recovered);
    this.#model.joined(this.id, member.room.name, member.behind > 0 ? member.cursor : undefined);
  }
}

/** A Hub whose accepted posts the model sees. */
export class WatchedHub extends Hub {
  readonly #model: Model;

  constructor(options: HubOptions, model: Model) {
    super({ ...options, engine: watched(options.engine, model) });
    this.#model = model;
  }

  override register(subscriber: Subscriber, room: string, since?: Cursor): boolean {
    const taken = super.register(subscriber, room, since);
    if (taken && !subscriber.closed) this.#model.registered(subscriber.id, room);
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
    release(room) {
      model.released(room);
      engine.release(room);
    },
  };
}
