import { Client } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { SlowPolicy } from '../../src/hub/settings.ts';
import { closes, comesBack } from '../../src/protocol/close-codes.ts';
import type { ClientMessage } from '../../src/protocol/v1.ts';
import { v1 } from '../../src/wire/v1.ts';
import { Disk, DiskEngine } from './disk.ts';
import { FrameReader } from './frames.ts';
import { type SendFields, Session, Violation } from './session.ts';
import { type Behaviour, SimulatedSocket } from './socket.ts';
import { Random, VirtualTime } from './virtual.ts';

/** A session and its current connection. */
interface Peer {
  readonly session: Session;
  client: Client | undefined;
  socket: SimulatedSocket | undefined;
  /** It never stops reading, so it must never be evicted. */
  readonly fast: boolean;
  /** Whether it joins with `changes`: always, never, or as it happens. */
  readonly changes: boolean | undefined;
}

const REACTIONS = ['+', '-', 'ok'];

const ROOMS = ['evicts', 'skips', 'latest', 'coalesces'];
const PEERS = 8;
const TICK = 250;

const policyOf = (room: string): SlowPolicy => (room === 'skips' ? 'skip' : room === 'latest' ? 'latest' : 'evict');

/**
 * One run of the native protocol: sessions join and leave rooms, lose their connections and resume,
 * on a server that is killed and restarted on the same disk.
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
      changes: random.pick([true, true, false, undefined]),
    }));
  }

  /** @throws Violation */
  async run(steps: number): Promise<void> {
    await this.#start();
    for (let step = 0; step < steps; step++) {
      await this.#act();
      this.#receiveAll();
    }
    await this.#quiesce();
    const users = this.#peers.map(({ session }) => session.user); // by now all are in every room
    for (const { session } of this.#peers) session.check(() => users);
    this.#checkStored();
    await this.#hub.close();
  }

  async #start(): Promise<void> {
    const time = this.#time;
    this.#engine = new DiskEngine(this.#disk, time, this.#random, this.#slow);
    this.#hub = new Hub({ engine: this.#engine, clock: time, scheduler: time, settings: this.#settings ?? {} });
    this.#keepalive = new Keepalive(time, time, TICK);
    this.#hub.events.on('failed', ({ event, error }) => {
      throw new Violation(`a listener of the event ${event} threw: ${error}`);
    });
    await this.#hub.open();
  }

  async #act(): Promise<void> {
    const { int, chance, pick } = choices(this.#random);
    const roll = this.#random.next();
    const peer = pick(this.#peers);
    if (!isConnected(peer)) this.#connect(peer);
    else if (roll < 0.12) this.#join(peer);
    else if (roll < 0.15) this.#leave(peer);
    else if (roll < 0.33) this.#send(peer);
    else if (roll < 0.36) for (let left = int(10, 80); left > 0; left--) this.#send(peer);
    else if (roll < 0.4) this.#retry(peer);
    else if (roll < 0.44) this.#request(peer);
    else if (roll < 0.5 && !peer.fast) peer.socket?.stall();
    else if (roll < 0.56) peer.socket?.read();
    else if (roll < 0.62) peer.socket?.readSome();
    else if (roll < 0.64) this.#disconnect(peer);
    else if (roll < 0.645) await this.#restart();
    else if (roll < 0.85) this.#time.turn();
    else if (roll < 0.9) this.#time.settle();
    else this.#pass(chance(0.1) ? int(1000, 4000) : int(1, 300));
  }

  #connect(peer: Peer): void {
    const { pick, chance } = choices(this.#random);
    const { user } = peer.session;
    this.#receive(peer);
    this.#dropConnection(peer); // the client may notice a lost connection before the server does
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
    peer.socket.sending = (frame) => this.#checkFrame(client, frame);
    for (const [room, place] of peer.session.places) {
      if (chance(0.8)) this.#post(peer, peer.session.join(room, this.#changesOf(peer), place));
    }
  }

  #changesOf({ changes }: Peer): boolean {
    return changes ?? this.#random.chance(0.5);
  }

  /** Checks that no text is sent that is gone by what the Hub has committed. */
  #checkFrame(client: Client, frame: Uint8Array): void {
    for (const message of this.#frames.read(frame)) {
      if (message.t !== 'message' && message.t !== 'change') continue;
      const room = this.#hub.memberships(client).find((member) => member.room.name === message.room)?.room;
      const gone = room && this.#disk.truth(room.epoch).goneText(message, room.log.head);
      if (gone) this.#violation ??= `${client.id} was sent ${JSON.stringify(message)}, which ${gone}`;
    }
  }
  #violation: string | undefined;
  readonly #frames = new FrameReader();
  readonly #wire = v1({ maxMessageSize: 512, pingPeriod: 2_000, pongWait: 3_000, writeWait: 1_000 });

  #join(peer: Peer): void {
    const { int, chance, pick } = choices(this.#random);
    const room = pick(ROOMS);
    const ownPlace = peer.session.views.get(room)?.place ?? peer.session.places.get(room);
    const randomPlace = {
      epoch: chance(0.8) ? this.#disk.room(room).epoch : 'another',
      seq: int(0, this.#disk.room(room).head + 3),
    };
    const changes = this.#changesOf(peer);
    if (chance(0.4)) this.#post(peer, peer.session.join(room, changes, ownPlace ?? randomPlace));
    else if (chance(0.5)) this.#post(peer, peer.session.join(room, changes, randomPlace));
    else this.#post(peer, peer.session.join(room, changes, undefined, chance(0.5) ? int(1, 50) : 0));
  }

  #leave(peer: Peer): void {
    const room = this.#random.pick(ROOMS);
    if (peer.session.rooms.has(room)) this.#post(peer, peer.session.leave(room));
  }

  #send(peer: Peer): void {
    const room = this.#random.pick(ROOMS);
    this.#post(peer, peer.session.send(room, this.#fields(room)));
  }

  /** Returns a message, or a change of a recent one, which may be another's or none. */
  #fields(room: string): SendFields {
    const { int, chance, pick } = choices(this.#random);
    const text = `${++this.#messages}`.padEnd(int(1, 60), '.');
    const data = chance(0.5) ? text : { text };
    const of = Math.max(1, this.#disk.room(room).head + 2 - int(0, chance(0.1) ? 300 : 12));
    if (chance(0.6)) return chance(0.1) ? { data, reply: of } : { data };
    const op = pick(['edit', 'edit', 'delete', 'react', 'react', 'unreact'] as const);
    if (op === 'edit') return { op, of, data };
    return op === 'delete' ? { op, of } : { op, of, reaction: pick(REACTIONS) };
  }

  /** Retries a recent message, answered or not, of this connection or an earlier one. */
  #retry(peer: Peer): void {
    const ids = peer.session.lastIds(20);
    if (ids.length > 0) this.#post(peer, peer.session.retry(this.#random.pick(ids)));
  }

  #request(peer: Peer): void {
    const { int, pick } = choices(this.#random);
    const { session } = peer;
    const [room] = session.rooms;
    if (room === undefined) {
      this.#postText(peer, pick(['{', '{"t":"x"}', '[]']));
      return;
    }
    const { head } = this.#disk.room(room);
    const changes = pick([true, false, undefined]);
    const requests: (() => ClientMessage)[] = [
      () => ({ t: 'signal', room, data: 'typing' }),
      () => session.history(room, { before: int(0, head + 2) }, int(1, 20), changes),
      () => session.history(room, { after: int(0, head + 2) }, int(1, 20), changes),
      () => ({ t: 'ack', room, seq: 0 }),
      () => ({ t: 'ping' }),
    ];
    this.#post(peer, pick(requests)());
  }

  #post(peer: Peer, message: ClientMessage): void {
    this.#postText(peer, JSON.stringify(message));
  }

  #postText({ client }: Peer, frame: string): void {
    client?.message(Buffer.from(frame), false);
  }

  #disconnect(peer: Peer): void {
    const roll = this.#random.next();
    if (roll < 0.5) peer.socket?.end(1006);
    else if (roll < 0.75) peer.client?.end(closes.replaced);
    else peer.client?.goAway(100);
  }

  /** Kills the server as `kill -9` does, loses a room's log now and then, and restarts it. */
  async #restart(): Promise<void> {
    this.#engine.kill();
    await this.#hub.close();
    for (const peer of this.#peers) {
      this.#receive(peer);
      peer.socket?.end(1006);
      this.#dropConnection(peer);
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
      this.#receiveAll();
    }
  }

  #receiveAll(): void {
    for (const peer of this.#peers) {
      this.#receive(peer);
      const { socket } = peer;
      if (!socket?.over) continue;
      if (peer.fast && socket.closedWith && socket.closedWith.code >= 4000 && comesBack(socket.closedWith.code))
        throw new Violation(
          `${peer.session.user} never stopped reading but was closed with ${socket.closedWith.code}: ${socket.closedWith.reason}`,
        );
      this.#dropConnection(peer);
    }
  }

  #receive({ socket, session }: Peer): void {
    if (!socket) return;
    if (this.#violation) throw new Violation(this.#violation);
    if (socket.misuse.length > 0) throw new Violation(`${session.user}: ${socket.misuse[0]}`);
    for (const frame of socket.received.splice(0))
      for (const message of this.#frames.read(frame)) session.receive(message);
  }

  #dropConnection(peer: Peer): void {
    if (!peer.client) return;
    peer.session.disconnected();
    peer.client = undefined;
    peer.socket = undefined;
  }

  /** Reconnects every session, lets it read and retry, without further failures. */
  async #quiesce(): Promise<void> {
    this.#engine.failureRate = 0;
    for (let rounds = 0; rounds < 3; rounds++) {
      for (const peer of this.#peers) peer.socket?.read();
      this.#pass(500);
    }
    for (const peer of this.#peers) {
      if (!isConnected(peer)) {
        this.#pass(TICK);
        this.#connect(peer);
      }
      const { session } = peer;
      for (const room of ROOMS)
        if (!session.rooms.has(room))
          this.#post(peer, session.join(room, this.#changesOf(peer), session.places.get(room)));
      for (const [id, { place, isRefused }] of session.messages)
        if (!place && !isRefused) this.#post(peer, session.retry(id));
    }
    for (let rounds = 0; rounds < 6; rounds++) {
      for (const peer of this.#peers) peer.socket?.read();
      this.#pass(1000);
    }
    for (const { session, client } of this.#peers) {
      if (!client || client.closed) throw new Violation(`${session.user} was closed while it read everything`);
      if (session.views.size < ROOMS.length)
        throw new Violation(`${session.user} joined only ${session.views.size} of ${ROOMS.length} rooms`);
    }
  }

  /** Checks that each epoch of a room has every message once, however often it was sent. */
  #checkStored(): void {
    const seqs = new Map<string, number>();
    const records = [...this.#disk.written].flatMap(([epoch, all]) => all.map(({ id, seq }) => ({ epoch, id, seq })));
    for (const { epoch, id, seq } of records) {
      const first = seqs.get(`${epoch} ${id}`);
      // A restarted server recalls the ids of the records that are retained.
      if (first !== undefined && seq - first < this.#disk.retention) {
        throw new Violation(`${id} is stored twice in ${epoch}, at ${first} and ${seq}`);
      }
      seqs.set(`${epoch} ${id}`, seq);
    }
    for (const { session } of this.#peers) {
      for (const [id, { place, isRefused }] of session.messages)
        if (!place && !isRefused) throw new Violation(`${id} was never acknowledged`);
    }
    for (const epoch of this.#disk.written.keys()) {
      const violation = this.#disk.truth(epoch).checkChanges();
      if (violation) throw new Violation(`${violation} in ${epoch}`);
    }
  }
}

function isConnected({ client }: Peer): boolean {
  return client !== undefined && !client.closed;
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
