import type { Client } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import { memory } from '../../src/engine/memory.ts';
import type { Room } from '../../src/hub/room.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { Model, WatchedClient, WatchedHub } from './model.ts';
import { slowEngine } from './slow-engine.ts';
import { type Behaviour, SimulatedSocket } from './socket.ts';
import { Random, VirtualTime } from './virtual.ts';
import { numbered, parseFrames } from './wire.ts';

/** An invariant of the Hub was broken. */
class Violation extends Error {}

interface Peer {
  readonly client: Client;
  readonly socket: SimulatedSocket;
  /** It never stops reading, so it must receive everything and never be evicted. */
  readonly fast: boolean;
  /** It has done something that closes a client, or the simulation has closed it. */
  ended: boolean;
  /** How many notices were sent to it. */
  notices: number;
}

const ROOMS = ['a', 'b', 'c'];
const PEERS = 12;
const TICK = 250;

/** One run of a Hub. Its seed determines every action and their order. */
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
  /** An action for the listener of the next event, which runs inside the Hub's turn. */
  #onNextEvent: (() => void) | undefined;

  /** @param fault a planted fault of every socket, which the simulation must find. */
  constructor(seed: number, fault: Partial<Behaviour> = {}) {
    this.#random = new Random(seed);
    this.#fault = fault;
    const { int, pick } = choices(this.#random);
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
    const fast = memory({ date: () => time.date(), retention: { records: 32, bytes: 4000 } });
    const engine = slow ? slowEngine(fast, time, this.#random) : fast;
    this.#model = new Model(slow);
    this.#hub = new WatchedHub({ engine, clock: time, scheduler: time, settings }, this.#model);
    this.#keepalive = new Keepalive(time, time, TICK);
    this.#wires = [
      numbered('one', ['a'], pick([40, 400])),
      numbered('two', ['a', 'b'], pick([40, 4000]), pick([true, false])),
    ];
    this.#listen();
  }

  /** Takes `steps` random steps, then runs until nothing is left to do. @throws Violation */
  async run(steps: number): Promise<void> {
    await this.#hub.open();
    for (let step = 0; step < steps; step++) {
      this.#act();
      this.#checkBounds();
    }
    this.#quiesce();
    this.#checkAll();
    this.#shutDown();
    await this.#hub.close();
  }

  #act(): void {
    const { int, chance, pick } = choices(this.#random);
    const roll = this.#random.next();
    const peer = this.#peers.length > 0 ? pick(this.#peers) : undefined;
    if (!peer || (roll < 0.06 && this.#peers.length < PEERS)) this.#connect();
    else if (roll < 0.3) this.#send(peer);
    else if (roll < 0.33) for (let left = int(20, 150); left > 0; left--) this.#send(peer);
    else if (roll < 0.36) this.#sendInvalid(peer);
    else if (roll < 0.42) this.#hub.broadcast(this.#draft(pick(ROOMS), 'program'));
    else if (roll < 0.46 && !peer.client.closed) this.#join(peer);
    else if (roll < 0.5 && !peer.client.closed) this.#hub.unregister(peer.client, pick(ROOMS));
    else if (roll < 0.55 && !peer.fast) peer.socket.stall();
    else if (roll < 0.6) peer.socket.read();
    else if (roll < 0.66) peer.socket.readSome();
    else if (roll < 0.68) this.#notify(peer);
    else if (roll < 0.69) this.#disconnect(peer);
    else if (roll < 0.71) this.#onNextEvent = () => this.#actInTurn(pick(this.#peers));
    else if (roll < 0.85) this.#time.turn();
    else if (roll < 0.9) this.#time.settle();
    else this.#pass(chance(0.1) ? int(1000, 4000) : int(1, 300));
  }

  #connect(): void {
    const { int, chance, pick } = choices(this.#random);
    const onNextEvent = this.#onNextEvent;
    this.#onNextEvent = undefined; // kept for an event of the Hub's turn
    const id = `c${++this.#clients}`;
    const context = { hub: this.#hub, clock: this.#time, keepalive: this.#keepalive, publishRate: 'off' as const };
    const client = new WatchedClient(id, pick(this.#wires), context, this.#model);
    const kernel = pick([0, 100, 1000]);
    const behaviour = { kernel, backpressure: pick([-1, 0, 300, 5000]), closesAtOnce: chance(0.5), ...this.#fault };
    const socket = new SimulatedSocket(client, behaviour);
    const peer = { client, socket, fast: chance(0.4), ended: false, notices: 0 };
    if (!peer.fast && int(0, 2) === 0) socket.stall();
    this.#peers.push(peer);
    client.open(socket);
    peer.ended = client.closed; // the register mailbox was full
    this.#onNextEvent = onNextEvent;
  }

  /** Joins a room at its head, or at a random place of its epoch or another. */
  #join({ client }: Peer): void {
    const { int, chance, pick } = choices(this.#random);
    const room = pick(ROOMS);
    const members = this.#peers
      .flatMap((peer) => this.#hub.memberships(peer.client))
      .filter((member) => member.room.name === room);
    const epoch = chance(0.9) ? (members[0]?.room.epoch ?? 'none') : 'another';
    const since = { epoch, seq: int(0, this.#model.sent(room).length + 1) };
    if (chance(0.5)) this.#hub.register(client, room);
    else this.#hub.register(client, room, since);
  }

  #send(peer: Peer): void {
    const wasReading = peer.client.reading;
    const { room, data } = this.#draft(this.#random.pick(ROOMS), peer.client.id);
    peer.client.message(Buffer.from(`${room}|${data}`), false);
    if (wasReading && !peer.client.reading) peer.ended = true; // the broadcast mailbox was full
  }

  #sendInvalid(peer: Peer): void {
    const { int, chance } = choices(this.#random);
    const bytes = Uint8Array.from({ length: chance(0.5) ? 600 : int(0, 20) }, () => int(0, 255));
    peer.client.message(bytes, true);
    if (peer.client.reading) throw new Violation(`${peer.client.id} sent an invalid frame and was not closed`);
    peer.ended = true;
  }

  #notify(peer: Peer): void {
    if (peer.client.closed) return;
    peer.client.notify(`!|${++peer.notices}|note`);
    peer.client.pump.release();
    if (peer.client.closed) peer.ended = true; // too many notices waited
  }

  #disconnect(peer: Peer): void {
    peer.ended = true;
    if (this.#random.chance(0.5)) peer.socket.end(1006);
    else peer.client.end(closes.goingAway);
  }

  /** Does what an application's listener may do inside the Hub's turn. */
  #actInTurn(peer: Peer): void {
    const { chance, pick } = choices(this.#random);
    if (chance(0.3)) this.#disconnect(peer);
    else if (chance(0.5)) this.#hub.broadcast(this.#draft(pick(ROOMS), 'listener'));
    else if (!peer.client.closed) this.#hub.unregister(peer.client, pick(ROOMS));
  }

  #draft(room: string, from: string) {
    const data = `${++this.#messages}`.padEnd(this.#random.int(1, 60), '.');
    return { room, from, id: '', data, bytes: data.length };
  }

  /** Lets time pass. Peers that read answer their pings, and closes complete. */
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
      throw new Violation(`a listener of the event ${event} threw: ${error}`);
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
        const action = this.#onNextEvent;
        this.#onNextEvent = undefined;
        if (action && this.#peers.length > 0) action();
      });
    }
    events.on('evicted', ({ client, room, records, why }) => {
      const peer = this.#peers.find((one) => one.client.id === client);
      const member = (peer ? this.#hub.memberships(peer.client) : []).find((one) => one.room.name === room);
      const inReach = member?.room.reaches(member.cursor);
      if (member && !member.live && inReach && why === closes.slowConsumer.reason) {
        this.#report(`${client} was evicted from ${room} before it first reached the head`);
      }
      // The log no longer reaches back to its place, and its wire cannot express a gap.
      if (peer && member && !member.live && !inReach) peer.ended = true;
      else if (peer?.fast) {
        this.#report(`${client} never stopped reading but was evicted from ${room}, ${records} records behind: ${why}`);
      }
    });
    events.on('committed', ({ room, from, to }) => {
      const sent = this.#model.sent(room).length;
      if (to > sent) this.#report(`records ${from} to ${to} of ${room} were committed, but only ${sent} were sent`);
    });
  }

  /** Keeps a violation for the next check: the Hub catches what a listener throws. */
  #report(violation: string): void {
    this.#reported ??= violation;
  }
  #reported: string | undefined;

  #checkBounds(): void {
    const violation = this.#reported ?? this.#model.violation;
    if (violation) throw new Violation(violation);
    const { register, unregister, broadcast } = this.#hub.settings.mailboxes;
    // A client's close in order and its leave are never refused: two posts past the bound.
    const bounds = { register, unregister: unregister + 2 * this.#clients, broadcast };
    for (const [name, bound] of Object.entries(bounds)) {
      const waiting = this.#hub.waiting(name as keyof typeof bounds);
      if (waiting > bound) throw new Violation(`the ${name} mailbox holds ${waiting} posts, past its bound ${bound}`);
    }
    for (const { client, socket } of this.#peers) {
      if (socket.misuse.length > 0) throw new Violation(`${client.id}: ${socket.misuse[0]}`);
      for (const { room } of this.#hub.memberships(client)) this.#checkRoom(room);
    }
  }

  #checkRoom({ name, log, flushed }: Room): void {
    const { window, turn, hold } = this.#hub.settings;
    const held = log.head - flushed;
    const maxHeld = 2 * turn.commands + hold.records;
    if (held > maxHeld) throw new Violation(`${name} holds back ${held} records, past its bound ${maxHeld}`);
    if (flushed - log.first >= window.records) {
      throw new Violation(`the log of ${name} keeps ${flushed - log.first + 1} records, past its window`);
    }
  }

  /** Checks that no parked member is further behind than the send buffer allows. */
  #checkDistances(): void {
    const { sendBuffer } = this.#hub.settings;
    for (const { client } of this.#peers) {
      for (const { live, room, behind, pump } of client.closed ? [] : this.#hub.memberships(client)) {
        if (!live || pump.writable || room.dirtySince !== undefined || behind <= sendBuffer.records) continue;
        throw new Violation(`${client.id} is ${behind} records behind in ${room.name} but was not evicted`);
      }
    }
  }

  /** In half of the runs the stalled peers stay so, and must be evicted within the write wait. */
  #quiesce(): void {
    this.#onNextEvent = undefined;
    if (this.#random.chance(0.5)) {
      this.#pass(4 * TICK + 1_000);
      for (const { client, socket } of this.#peers) {
        if (socket.bufferedAmount > 0 && !client.closed) {
          throw new Violation(`${client.id} has accepted nothing for the write wait but was not evicted`);
        }
      }
    }
    for (let rounds = 0; rounds < 3; rounds++) {
      for (const { socket } of this.#peers) socket.read();
      this.#pass(400);
    }
  }

  #checkAll(): void {
    this.#checkBounds();
    for (const { client, socket, fast, ended, notices } of this.#peers) {
      if (fast && client.closed && !ended) throw new Violation(`${client.id} never stopped reading but was closed`);
      const received = parseFrames(socket.received);
      const numbers = received.filter(({ room }) => room === '!').map(({ seq }) => seq);
      if (numbers.some((number, i) => number !== i + 1)) {
        throw new Violation(`${client.id} received its notices out of order: ${numbers}`);
      }
      if (!client.closed && numbers.length !== notices) {
        throw new Violation(`${client.id} received ${numbers.length} of ${notices} notices`);
      }
      const records = received.filter(({ room }) => room !== '!');
      const violation = this.#model.check(client.id, records, client.closed, fast);
      if (violation) throw new Violation(violation);
      for (const { behind, room } of this.#hub.memberships(client)) {
        if (behind > 0) throw new Violation(`${client.id} is still ${behind} records behind in ${room.name}`);
      }
    }
  }

  /** Disconnects all peers: then no room, client or timer may be left. */
  #shutDown(): void {
    for (const peer of this.#peers) this.#disconnect(peer);
    this.#pass(15_000);
    const { size: clients } = this.#keepalive.clients;
    if (this.#hub.rooms > 0) throw new Violation(`${this.#hub.rooms} rooms are left in memory after all have left`);
    if (clients > 0) throw new Violation(`${clients} clients are left in memory after all have closed`);
    if (this.#time.timers > 0) throw new Violation(`${this.#time.timers} timers are left after all have closed`);
  }
}

/** Returns the methods of `random`, for destructuring. */
function choices(random: Random) {
  return {
    int: (low: number, high: number) => random.int(low, high),
    chance: (p: number) => random.chance(p),
    pick: <T>(from: readonly T[]) => random.pick(from),
  };
}

/** Runs one seed. @returns the violation, or undefined. */
export async function simulate(seed: number, steps = 300, fault: Partial<Behaviour> = {}): Promise<string | undefined> {
  try {
    await new Simulation(seed, fault).run(steps);
    return undefined;
  } catch (error) {
    return error instanceof Violation ? error.message : ((error as Error).stack ?? String(error));
  }
}
