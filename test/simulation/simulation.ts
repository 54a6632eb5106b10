import type { Client } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import { memory } from '../../src/engine/memory.ts';
import type { Room } from '../../src/hub/room.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { slowly } from './engine.ts';
import { Model, WatchedClient, WatchedHub } from './model.ts';
import { type Behaviour, SimulatedSocket } from './socket.ts';
import { Random, VirtualTime } from './virtual.ts';
import { numbered, seen } from './wire.ts';

/** Something that must never happen, did. */
class Violation extends Error {}

interface Peer {
  readonly client: Client;
  readonly socket: SimulatedSocket;
  /** It never stops reading, so it must be handed everything, and never evicted. */
  readonly fast: boolean;
  /** It did what ends a client, or the simulation ended it. */
  ended: boolean;
  told: number;
}

const ROOMS = ['a', 'b', 'c'];
const PEERS = 12;
const TICK = 250;

/** One life of a Hub under a seed: everything that happens, and in which order, follows from it. */
class Simulation {
  readonly #random: Random;
  readonly #time = new VirtualTime();
  readonly #model: Model;
  readonly #hub: WatchedHub;
  readonly #keepalive: Keepalive;
  readonly #wires: ReturnType<typeof numbered>[];
  readonly #peers: Peer[] = [];
  readonly #fault: Partial<Behaviour>;
  readonly #records: number;
  #clients = 0;
  #messages = 0;
  /** What the next event's listener does, from inside the Hub's turn. */
  #ambush: (() => void) | undefined;

  /** @param fault plants a fault in every socket, which the simulation must then find. */
  constructor(seed: number, fault: Partial<Behaviour> = {}) {
    this.#random = new Random(seed);
    this.#fault = fault;
    const { int, pick } = bound(this.#random);
    this.#records = int(4, 64);
    const mailbox = pick([8, 64, 1024]);
    const coalesce = pick([undefined, { maxDelayMs: int(1, 300), maxBytes: int(1, 2000) }]);
    const time = this.#time;
    const settings = {
      sendBuffer: { records: this.#records, bytes: pick([500, 5000]) },
      window: { records: pick([16, 128]), bytes: pick([1000, 10_000]) },
      mailboxes: { register: pick([4, 64]), unregister: pick([4, 64]), broadcast: mailbox },
      turn: { commands: int(1, 40), bytes: pick([100, 4000]) },
      hold: { records: int(1, 20), bytes: 500 },
      roomIdle: pick([500, 5000]),
      coalesce: (room: string) => (room === 'a' ? coalesce : undefined),
    };
    const slow = this.#random.chance(0.5);
    const quick = memory({ date: () => time.date(), retention: { records: 32, bytes: 4000 } });
    const engine = slow ? slowly(quick, time, this.#random) : quick;
    this.#model = new Model(slow);
    this.#hub = new WatchedHub({ engine, clock: time, scheduler: time, settings }, this.#model);
    this.#keepalive = new Keepalive(time, time, TICK);
    this.#wires = [
      numbered('one', ['a'], pick([40, 400])),
      numbered('two', ['a', 'b'], pick([40, 4000]), pick([true, false])),
    ];
    this.#listen();
  }

  /** Lives through `steps` random steps, then lets everything come to rest. @throws Violation */
  async run(steps: number): Promise<void> {
    await this.#hub.open();
    for (let step = 0; step < steps; step++) {
      this.#act();
      this.#checkBounds();
    }
    this.#comeToRest();
    this.#checkAll();
    this.#vanish();
    await this.#hub.close();
  }

  #act(): void {
    const { int, chance, pick } = bound(this.#random);
    const roll = this.#random.next();
    const peer = this.#peers.length > 0 ? pick(this.#peers) : undefined;
    if (!peer || (roll < 0.06 && this.#peers.length < PEERS)) this.#connect();
    else if (roll < 0.3) this.#say(peer);
    else if (roll < 0.33) for (let left = int(20, 150); left > 0; left--) this.#say(peer);
    else if (roll < 0.36) this.#misbehave(peer);
    else if (roll < 0.42) this.#hub.broadcast(this.#draft(pick(ROOMS), 'program'));
    else if (roll < 0.46 && !peer.client.closed) this.#join(peer);
    else if (roll < 0.5 && !peer.client.closed) this.#hub.unregister(peer.client, pick(ROOMS));
    else if (roll < 0.55 && !peer.fast) peer.socket.stall();
    else if (roll < 0.6) peer.socket.read();
    else if (roll < 0.66) peer.socket.readSome();
    else if (roll < 0.68) this.#tell(peer);
    else if (roll < 0.69) this.#cut(peer);
    else if (roll < 0.71) this.#ambush = () => this.#fromInside(pick(this.#peers));
    else if (roll < 0.85) this.#time.turn();
    else if (roll < 0.9) this.#time.settle();
    else this.#pass(chance(0.1) ? int(1000, 4000) : int(1, 300));
  }

  #connect(): void {
    const { int, chance, pick } = bound(this.#random);
    const { ambushes, id } = { ambushes: this.#ambush, id: `c${++this.#clients}` };
    this.#ambush = undefined;
    const context = { hub: this.#hub, clock: this.#time, keepalive: this.#keepalive, publishRate: 'off' as const };
    const client = new WatchedClient(id, pick(this.#wires), context, this.#model);
    const kernel = pick([0, 100, 1000]);
    const behaviour = { kernel, backpressure: pick([-1, 0, 300, 5000]), closesAtOnce: chance(0.5), ...this.#fault };
    const socket = new SimulatedSocket(client, behaviour);
    const peer = { client, socket, fast: chance(0.4), ended: false, told: 0 };
    if (!peer.fast && int(0, 2) === 0) socket.stall();
    this.#peers.push(peer);
    client.open(socket);
    peer.ended = client.closed; // refused: the register mailbox was full
    this.#ambush = ambushes;
  }

  /** Joins a room: from its head on, or from a place in it, in this life of it or another. */
  #join({ client }: Peer): void {
    const { int, chance, pick } = bound(this.#random);
    const room = pick(ROOMS);
    const members = this.#peers
      .flatMap((peer) => this.#hub.memberships(peer.client))
      .filter((member) => member.room.name === room);
    const epoch = chance(0.9) ? (members[0]?.room.epoch ?? 'none') : 'another';
    const since = { epoch, seq: int(0, this.#model.sent(room).length + 1) };
    if (chance(0.5)) this.#hub.register(client, room);
    else this.#hub.register(client, room, since);
  }

  #say(peer: Peer): void {
    const wasClosed = peer.client.closed;
    const { room, data } = this.#draft(this.#random.pick(ROOMS), peer.client.id);
    peer.client.message(Buffer.from(`${room}|${data}`), false);
    if (!wasClosed && peer.client.closed) peer.ended = true; // the broadcast mailbox was full
  }

  #misbehave(peer: Peer): void {
    const { int, chance } = bound(this.#random);
    const bytes = Uint8Array.from({ length: chance(0.5) ? 600 : int(0, 20) }, () => int(0, 255));
    const wasClosed = peer.client.closed;
    peer.client.message(bytes, true);
    if (!wasClosed && !peer.client.closed) throw new Violation('bytes that break the wire were let through');
    peer.ended = true;
  }

  #tell(peer: Peer): void {
    if (peer.client.closed) return;
    peer.client.notify(`!|${++peer.told}|told`);
    peer.client.pump.release();
    if (peer.client.closed) peer.ended = true; // it let too many wait
  }

  #cut(peer: Peer): void {
    peer.ended = true;
    if (this.#random.chance(0.5)) peer.socket.end(1006);
    else peer.client.end(closes.goingAway);
  }

  /** What a program's listener may do while the Hub is in its turn. */
  #fromInside(peer: Peer): void {
    const { chance, pick } = bound(this.#random);
    if (chance(0.3)) this.#cut(peer);
    else if (chance(0.5)) this.#hub.broadcast(this.#draft(pick(ROOMS), 'listener'));
    else if (!peer.client.closed) this.#hub.unregister(peer.client, pick(ROOMS));
  }

  #draft(room: string, from: string) {
    const data = `${++this.#messages}`.padEnd(this.#random.int(1, 60), '.');
    return { room, from, id: '', data, bytes: data.length };
  }

  /** Time passes; those who read answer their pings, and the ends of orderly closes arrive. */
  #pass(ms: number): void {
    this.#time.settle();
    for (let left = ms; left > 0; left -= TICK) {
      this.#time.advance(Math.min(left, TICK));
      this.#checkDistances();
      for (const { socket } of this.#peers) {
        if (!socket.stalled) socket.read();
        if (socket.closedWith && !socket.over) socket.end(socket.closedWith.code);
      }
    }
  }

  #listen(): void {
    const { events } = this.#hub;
    events.on('failed', ({ event, error }) => {
      throw new Violation(`a listener of ${event} threw: ${error}`);
    });
    for (const type of [
      'committed',
      'registered',
      'unregistered',
      'lagging',
      'drained',
      'evicted',
      'connected',
    ] as const) {
      events.on(type, () => {
        const ambush = this.#ambush;
        this.#ambush = undefined;
        if (ambush && this.#peers.length > 0) ambush();
      });
    }
    events.on('evicted', ({ client, room, records, why }) => {
      const peer = this.#peers.find((one) => one.client.id === client);
      const member = (peer ? this.#hub.memberships(peer.client) : []).find((one) => one.room.name === room);
      const reached = member?.room.reaches(member.cursor);
      if (member && !member.live && reached && why === closes.slowConsumer.reason)
        this.#fail(`${client} was evicted while it recovered`);
      // What it came back for was trimmed before its turn, and its wire has no word for that.
      if (peer && member && !member.live && !reached) peer.ended = true;
      else if (peer?.fast) this.#fail(`${client} never stopped reading, yet was evicted ${records} behind: ${why}`);
    });
    events.on('committed', ({ room, from, to }) => {
      if (to > this.#model.sent(room).length) this.#fail(`${room}: ${from} to ${to} committed, but never sent`);
    });
  }

  /** Listeners' throws are caught by the Hub's events, so a violation seen in one is kept for the next check. */
  #fail(what: string): void {
    this.#seen ??= what;
  }
  #seen: string | undefined;

  #checkBounds(): void {
    const wrong = this.#seen ?? this.#model.wrong;
    if (wrong) throw new Violation(wrong);
    const { mailboxes } = this.#hub.settings;
    if (this.#hub.waiting('broadcast') > mailboxes.broadcast)
      throw new Violation('the broadcast mailbox outgrew its bound');
    if (this.#hub.waiting('register') > mailboxes.register)
      throw new Violation('the register mailbox outgrew its bound');
    const leaves = mailboxes.unregister + this.#clients;
    if (this.#hub.waiting('unregister') > leaves) throw new Violation('the unregister mailbox outgrew its bound');
    for (const { client, socket } of this.#peers) {
      if (socket.misuse.length > 0) throw new Violation(`${client.id}: ${socket.misuse[0]}`);
      for (const { room } of this.#hub.memberships(client)) this.#checkRoom(room);
    }
  }

  #checkRoom({ name, log, flushed }: Room): void {
    const { window, turn, hold } = this.#hub.settings;
    if (log.head - flushed > 2 * turn.commands + hold.records) throw new Violation(`${name} holds back too much`);
    if (flushed - log.first >= window.records) throw new Violation(`the log of ${name} outgrew its window`);
  }

  /** At rest, nobody stays parked further behind than the send buffer allows. */
  #checkDistances(): void {
    const { sendBuffer } = this.#hub.settings;
    for (const { client } of this.#peers) {
      for (const { live, room, behind, pump } of client.closed ? [] : this.#hub.memberships(client)) {
        if (!live || pump.writable || room.dirtySince !== undefined || behind <= sendBuffer.records) continue;
        throw new Violation(`${client.id} is ${behind} behind in ${room.name} and still there`);
      }
    }
  }

  /** Half of the lives end with the stalled staying stalled: then they must be gone within the write wait. */
  #comeToRest(): void {
    this.#ambush = undefined;
    if (this.#random.chance(0.5)) {
      this.#pass(4 * TICK + 1_000);
      for (const { client, socket } of this.#peers) {
        if (socket.bufferedAmount > 0 && !client.closed)
          throw new Violation(`${client.id} takes nothing and is still there`);
      }
    }
    for (let rounds = 0; rounds < 3; rounds++) {
      for (const { socket } of this.#peers) socket.read();
      this.#pass(400);
    }
  }

  #checkAll(): void {
    this.#checkBounds();
    for (const { client, socket, fast, ended, told } of this.#peers) {
      if (fast && client.closed && !ended) throw new Violation(`${client.id} read all along, yet was closed`);
      const records = seen(socket.received);
      const tells = records.filter(({ room }) => room === '!').map(({ seq }) => seq);
      if (tells.some((seq, i) => seq !== i + 1)) throw new Violation(`${client.id} was told ${tells}`);
      if (!client.closed && tells.length !== told)
        throw new Violation(`${client.id} was told ${tells.length} of ${told}`);
      const fromRooms = records.filter(({ room }) => room !== '!');
      const wrong = this.#model.check(client.id, fromRooms, client.closed, fast);
      if (wrong) throw new Violation(wrong);
      for (const member of this.#hub.memberships(client))
        if (member.behind > 0) throw new Violation(`${client.id} was left behind`);
    }
  }

  /** When everyone has gone, so do the rooms, and nothing ticks on. */
  #vanish(): void {
    for (const peer of this.#peers) this.#cut(peer);
    this.#pass(15_000);
    if (this.#hub.rooms > 0) throw new Violation(`${this.#hub.rooms} rooms stayed in memory`);
    if (this.#keepalive.clients.size > 0)
      throw new Violation(`${this.#keepalive.clients.size} clients stayed in memory`);
    if (this.#time.timers > 0) throw new Violation(`${this.#time.timers} timers tick on`);
  }
}

function bound(random: Random) {
  return {
    int: (low: number, high: number) => random.int(low, high),
    chance: (p: number) => random.chance(p),
    pick: <T>(from: readonly T[]) => random.pick(from),
  };
}

/** Runs one seed. @returns what went wrong, or undefined. */
export async function simulate(seed: number, steps = 300, fault: Partial<Behaviour> = {}): Promise<string | undefined> {
  try {
    await new Simulation(seed, fault).run(steps);
    return undefined;
  } catch (error) {
    return error instanceof Violation ? error.message : ((error as Error).stack ?? String(error));
  }
}
