import { Client } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { SlowPolicy } from '../../src/hub/settings.ts';
import { closes, comesBack } from '../../src/protocol/close-codes.ts';
import type { ClientMessage, ServerMessage } from '../../src/protocol/v1.ts';
import { v1 } from '../../src/wire/v1.ts';
import { Disk, DiskEngine } from './disk.ts';
import { Session, Violation } from './session.ts';
import { type Behaviour, SimulatedSocket } from './socket.ts';
import { Random, VirtualTime } from './virtual.ts';

/** A session and its present connection. */
interface Peer {
  readonly session: Session;
  client: Client | undefined;
  socket: SimulatedSocket | undefined;
  /** It never stops reading, so nobody may evict it. */
  readonly fast: boolean;
}

const ROOMS = ['evicts', 'skips', 'latest', 'coalesces'];
const PEERS = 8;
const TICK = 250;

const policyOf = (room: string): SlowPolicy => (room === 'skips' ? 'skip' : room === 'latest' ? 'latest' : 'evict');

/**
 * One life of rooms that have a memory: sessions that come and go, lose their connections and come back, on a server that is
 * killed and started again over the same disk.
 */
class NativeSimulation {
  readonly #random: Random;
  readonly #time = new VirtualTime();
  readonly #disk: Disk;
  readonly #peers: Peer[];
  readonly #fault: Partial<Behaviour>;
  readonly #slow: boolean;
  readonly #settings: ConstructorParameters<typeof Hub>[0]['settings'];
  #engine!: DiskEngine;
  #hub!: Hub;
  #keepalive!: Keepalive;
  #messages = 0;

  constructor(seed: number, fault: Partial<Behaviour>) {
    const random = new Random(seed);
    this.#random = random;
    this.#fault = fault;
    this.#slow = random.chance(0.6);
    this.#disk = new Disk(random.pick([20, 200, 100_000]));
    this.#settings = {
      sendBuffer: { records: random.int(4, 64), bytes: random.pick([500, 5000]) },
      window: { records: random.pick([16, 128]), bytes: random.pick([1000, 10_000]) },
      turn: { commands: random.int(1, 40), bytes: random.pick([100, 4000]) },
      hold: { records: random.int(1, 20), bytes: 500 },
      roomIdle: random.pick([500, 5000]),
      namedMembers: random.pick([3, 1000]),
      coalesce: (room) => (room === 'coalesces' ? { maxDelayMs: 100, maxBytes: 1000 } : undefined),
      slow: policyOf,
    };
    this.#peers = Array.from({ length: PEERS }, (_, i) => ({
      session: new Session(`u${i}`, this.#disk, policyOf),
      client: undefined,
      socket: undefined,
      fast: random.chance(0.4),
    }));
  }

  /** @throws Violation */
  async run(steps: number): Promise<void> {
    await this.#start();
    for (let step = 0; step < steps; step++) {
      await this.#act();
      this.#hear();
    }
    await this.#comeToRest();
    for (const { session } of this.#peers) session.check((room) => this.#membersOf(room));
    this.#checkSaid();
    await this.#hub.close();
  }

  async #start(): Promise<void> {
    const time = this.#time;
    this.#engine = new DiskEngine(this.#disk, time, this.#random, this.#slow);
    this.#hub = new Hub({ engine: this.#engine, clock: time, scheduler: time, settings: this.#settings ?? {} });
    this.#keepalive = new Keepalive(time, time, TICK);
    this.#hub.events.on('failed', ({ event, error }) => {
      throw new Violation(`a listener of ${event} threw: ${error}`);
    });
    await this.#hub.open();
  }

  async #act(): Promise<void> {
    const { int, chance, pick } = bound(this.#random);
    const roll = this.#random.next();
    const peer = pick(this.#peers);
    if (!isOn(peer)) this.#connect(peer);
    else if (roll < 0.12) this.#join(peer);
    else if (roll < 0.15) this.#leave(peer);
    else if (roll < 0.33) this.#say(peer);
    else if (roll < 0.36) for (let left = int(10, 80); left > 0; left--) this.#say(peer);
    else if (roll < 0.4) this.#sayAgain(peer);
    else if (roll < 0.44) this.#ask(peer);
    else if (roll < 0.5 && !peer.fast) peer.socket?.stall();
    else if (roll < 0.56) peer.socket?.read();
    else if (roll < 0.62) peer.socket?.readSome();
    else if (roll < 0.64) this.#cut(peer);
    else if (roll < 0.645) await this.#restart();
    else if (roll < 0.85) this.#time.turn();
    else if (roll < 0.9) this.#time.settle();
    else this.#pass(chance(0.1) ? int(1000, 4000) : int(1, 300));
  }

  #connect(peer: Peer): void {
    const { pick, chance } = bound(this.#random);
    const { user } = peer.session;
    this.#hearOne(peer);
    this.#over(peer); // its old connection may not know yet
    const context = { hub: this.#hub, clock: this.#time, keepalive: this.#keepalive, publishRate: 'off' as const };
    const limits = { message: 512, roomName: 128, rooms: 128, history: 1000 };
    const welcome = { t: 'welcome', session: user, user, resume: '', limits, heartbeat: 2 } as const;
    const wire = this.#wire;
    const client = new Client(user, wire, context, { user, welcome });
    const behaviour = {
      kernel: pick([0, 300, 3000]),
      backpressure: pick([-1, 0, 300, 5000]),
      closesAtOnce: chance(0.5),
    };
    peer.client = client;
    peer.socket = new SimulatedSocket(client, { ...behaviour, ...this.#fault });
    peer.session.connected();
    client.open(peer.socket);
    for (const [room, place] of peer.session.places) if (chance(0.8)) this.#tell(peer, peer.session.join(room, place));
  }
  readonly #wire = v1({ maxMessageSize: 512, pingPeriod: 2_000, pongWait: 3_000, writeWait: 1_000 });

  #join(peer: Peer): void {
    const { int, chance, pick } = bound(this.#random);
    const room = pick(ROOMS);
    const known = peer.session.views.get(room)?.place ?? peer.session.places.get(room);
    const other = {
      epoch: chance(0.8) ? this.#disk.room(room).epoch : 'another',
      seq: int(0, this.#disk.room(room).head + 3),
    };
    if (chance(0.4)) this.#tell(peer, peer.session.join(room, known ?? other));
    else if (chance(0.5)) this.#tell(peer, peer.session.join(room, other));
    else this.#tell(peer, peer.session.join(room, undefined, chance(0.5) ? int(1, 50) : 0));
  }

  #leave(peer: Peer): void {
    const room = this.#random.pick(ROOMS);
    if (peer.session.rooms.has(room)) this.#tell(peer, peer.session.leave(room));
  }

  #say(peer: Peer): void {
    const data = `${++this.#messages}`.padEnd(this.#random.int(1, 60), '.');
    this.#tell(peer, peer.session.send(this.#random.pick(ROOMS), data));
  }

  /** What was answered or not, in this connection or an earlier one. */
  #sayAgain(peer: Peer): void {
    const ids = [...peer.session.said.keys()].slice(-20);
    if (ids.length > 0) this.#tell(peer, peer.session.again(this.#random.pick(ids)));
  }

  #ask(peer: Peer): void {
    const { int, pick } = bound(this.#random);
    const [room] = peer.session.rooms;
    if (room === undefined) {
      this.#raw(peer, pick(['{', '{"t":"x"}', '[]']));
      return;
    }
    const { head } = this.#disk.room(room);
    const asks: ClientMessage[] = [
      { t: 'signal', room, data: 'typing' },
      { t: 'history', room, before: int(0, head + 2), limit: int(1, 20) },
      { t: 'history', room, after: int(0, head + 2), limit: int(1, 20) },
      { t: 'ack', room, seq: 0 },
      { t: 'ping' },
    ];
    this.#tell(peer, pick(asks));
  }

  #tell(peer: Peer, message: ClientMessage): void {
    this.#raw(peer, JSON.stringify(message));
  }

  #raw({ client }: Peer, frame: string): void {
    client?.message(Buffer.from(frame), false);
  }

  #cut(peer: Peer): void {
    const how = this.#random.next();
    if (how < 0.5) peer.socket?.end(1006);
    else if (how < 0.75) peer.client?.end(closes.replaced);
    else peer.client?.goAway(100);
  }

  /** `kill -9`: sockets are gone, what was being written may be on the disk, and now and then a room's log is lost. */
  async #restart(): Promise<void> {
    this.#engine.kill();
    await this.#hub.close();
    for (const peer of this.#peers) {
      this.#hearOne(peer);
      peer.socket?.end(1006);
      this.#over(peer);
    }
    if (this.#random.chance(0.1)) this.#disk.lose(this.#random.pick(ROOMS));
    await this.#start();
  }

  #pass(ms: number): void {
    this.#time.settle();
    for (let left = ms; left > 0; left -= TICK) {
      this.#time.advance(Math.min(left, TICK));
      for (const { socket } of this.#peers) {
        if (!socket) continue;
        if (!socket.stalled) socket.read();
        if (socket.closedWith && !socket.over) socket.end(socket.closedWith.code);
      }
      this.#hear();
    }
  }

  #hear(): void {
    for (const peer of this.#peers) {
      this.#hearOne(peer);
      const { socket } = peer;
      if (!socket?.over) continue;
      if (peer.fast && socket.closedWith && socket.closedWith.code >= 4000 && comesBack(socket.closedWith.code))
        throw new Violation(`${peer.session.user} read all along, yet was closed with ${socket.closedWith.code}`);
      this.#over(peer);
    }
  }

  #hearOne({ socket, session }: Peer): void {
    if (!socket) return;
    if (socket.misuse.length > 0) throw new Violation(`${session.user}: ${socket.misuse[0]}`);
    for (const frame of socket.received.splice(0))
      for (const line of Buffer.from(frame).toString().split('\n')) session.hear(JSON.parse(line) as ServerMessage);
  }

  #over(peer: Peer): void {
    if (!peer.client) return;
    peer.session.disconnected();
    peer.client = undefined;
    peer.socket = undefined;
  }

  /** Everyone comes back and reads, nothing fails any more, and what was not answered is sent again. */
  async #comeToRest(): Promise<void> {
    this.#engine.failing = 0;
    for (let rounds = 0; rounds < 3; rounds++) {
      for (const peer of this.#peers) peer.socket?.read();
      this.#pass(500);
    }
    for (const peer of this.#peers) {
      if (!isOn(peer)) {
        this.#pass(TICK);
        this.#connect(peer);
      }
      const { session } = peer;
      for (const room of ROOMS)
        if (!session.rooms.has(room)) this.#tell(peer, session.join(room, session.places.get(room)));
      for (const [id, { at }] of session.said) if (!at) this.#tell(peer, session.again(id));
    }
    for (let rounds = 0; rounds < 6; rounds++) {
      for (const peer of this.#peers) peer.socket?.read();
      this.#pass(1000);
    }
    for (const { session, client } of this.#peers) {
      if (!client || client.closed) throw new Violation(`${session.user} could not stay`);
      if (session.views.size < ROOMS.length) throw new Violation(`${session.user} is in ${session.views.size} rooms`);
    }
  }

  #membersOf(_room: string): string[] {
    return this.#peers.map(({ session }) => session.user);
  }

  /** Everything that was said is written once, though it was sent again and again, in each life of its room's log. */
  #checkSaid(): void {
    const before = new Map<string, number>();
    for (const [key, { id, seq }] of this.#disk.written) {
      const what = `${key.split(' ')[0]} ${id}`;
      const first = before.get(what);
      // A server that was started again knows the ids of what it still has.
      if (first !== undefined && seq - first < this.#disk.retention)
        throw new Violation(`${what} is at ${first} and ${seq}`);
      before.set(what, seq);
    }
    for (const { session } of this.#peers) {
      for (const [id, { at }] of session.said) if (!at) throw new Violation(`${id} was never written`);
    }
  }
}

function isOn({ client }: Peer): boolean {
  return client !== undefined && !client.closed;
}

function bound(random: Random) {
  return {
    int: (low: number, high: number) => random.int(low, high),
    chance: (p: number) => random.chance(p),
    pick: <T>(from: readonly T[]) => random.pick(from),
  };
}

/** Runs one seed. @returns what went wrong, or undefined. */
export async function simulateNative(
  seed: number,
  steps = 300,
  fault: Partial<Behaviour> = {},
): Promise<string | undefined> {
  try {
    await new NativeSimulation(seed, fault).run(steps);
    return undefined;
  } catch (error) {
    return error instanceof Violation ? error.message : ((error as Error).stack ?? String(error));
  }
}
