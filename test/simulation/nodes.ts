import { Client } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import type { Engine } from '../../src/hub/engine.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import type { SlowPolicy } from '../../src/hub/settings.ts';
import { closes, comesBack } from '../../src/protocol/close-codes.ts';
import type { ClientMessage, Place } from '../../src/protocol/v1.ts';
import { v1 } from '../../src/wire/v1.ts';
import type { Wire } from '../../src/wire/wire.ts';
import { FrameReader } from './frames.ts';
import { type Counts, NodeSession } from './node-session.ts';
import { type SendFields, Violation } from './session.ts';
import { type EngineFault, type Faults, SharedEngine } from './shared-engine.ts';
import { type Life, SharedLog } from './shared-log.ts';
import { SimulatedSocket } from './socket.ts';
import { type ThreadFault, VirtualProcess } from './threads.ts';
import { ProcessTime, PromiseTime, Random } from './virtual.ts';
import { CHANGED, numbered, parseFrames } from './wire.ts';

/** A planted fault, which the simulation must find. */
export type Fault = EngineFault | ThreadFault | 'stores twice' | 'allows all' | 'tells nothing of lost messages';

/** A process on the shared log: one server, or several workers. */
interface Process {
  readonly time: ProcessTime;
  readonly engine: SharedEngine;
  /** Undefined for one server. */
  readonly threads: VirtualProcess | undefined;
  readonly nodes: readonly Node[];
}

/** A server: a process, or a worker of one. */
interface Node {
  readonly time: ProcessTime;
  readonly hub: Hub;
  readonly keepalive: Keepalive;
  readonly wire: Wire;
  /** Its thread does nothing for a while. */
  readonly stall: (ms: number) => void;
}

interface Connection {
  readonly node: Node;
  readonly client: Client;
  readonly socket: SimulatedSocket;
}

/** A session and its current connection. */
interface Peer {
  readonly session: NodeSession;
  connection: Connection | undefined;
  /** It never stops reading, so it must never be evicted. */
  readonly fast: boolean;
  /** Whether it joins with `changes`: always, never, or as it happens. */
  readonly changes: boolean | undefined;
}

/** A client of a wire without notices, which comes back as a new one. */
interface Plain {
  readonly name: string;
  connection: Connection | undefined;
  /** The records that this connection received, by room. */
  readonly received: Map<string, { readonly seq: number; readonly data: string }[]>;
}

const ROOMS = ['evicts', 'skips', 'latest', 'coalesces'];
const PEERS = 6;
const PLAIN = 2;
const TICK = 250;
const REACTIONS = ['+', '-', 'ok'];
/** Longer than the engine waits for its store. */
const LONG = 12_000;

const policyOf = (room: string): SlowPolicy => (room === 'skips' ? 'skip' : room === 'latest' ? 'latest' : 'evict');

export interface NodesOptions {
  /** Processes. @default 2 */
  readonly nodes?: number;
  /** Worker threads of each process, beside its log thread. @default 0: its Hub owns the engine */
  readonly workers?: number;
  /** @default 300 */
  readonly steps?: number;
  readonly fault?: Fault | undefined;
  /** Sums of what happened, over all runs that are given the same ones. */
  readonly counts?: NodeCounts;
}

export type NodeCounts = Counts & {
  moves: number;
  skips: number;
  kills: number;
  unknown: number;
  repairs: number;
  /** Commits that did not fit into a worker's ring. */
  dropped: number;
};

export function noCounts(): NodeCounts {
  const session = { shown: 0, lostOnResume: 0, lostWhileJoined: 0, toldLost: 0, untold: 0 };
  return {
    ...session,
    recoveredElsewhere: 0,
    applied: 0,
    rejected: 0,
    refused: 0,
    moves: 0,
    skips: 0,
    kills: 0,
    unknown: 0,
    repairs: 0,
    dropped: 0,
  };
}

/**
 * One run of several servers on one shared log. Sessions connect to any of them, resume on another
 * one, send and retry, while servers are killed and cut off, and the log fails over.
 */
class NodesSimulation {
  readonly #random: Random;
  readonly #time = new PromiseTime();
  readonly #log: SharedLog;
  readonly #faults: Faults;
  readonly #fault: Fault | undefined;
  readonly #counts: NodeCounts;
  /** How often the store acts at once. */
  readonly #storm: number;
  /** How many posts may wait. */
  readonly #mailbox: number;
  readonly #settings: ConstructorParameters<typeof Hub>[0]['settings'];
  readonly #plainWires: readonly Wire[];
  readonly #peers: readonly Peer[];
  readonly #plain: readonly Plain[];
  readonly #processes: Process[] = [];
  readonly #workers: number;
  readonly #ringScale: number;
  #started = 0;
  #messages = 0;

  constructor(seed: number, { fault, workers = 0, counts = noCounts(), steps = 300 }: NodesOptions) {
    const random = new Random(seed);
    this.#random = random;
    this.#fault = fault;
    this.#workers = workers;
    // The frame of a move names all earlier lives of the log: the longer the run, the more.
    this.#ringScale = 2 ** Math.ceil(Math.log2(Math.max(1, steps / 300)));
    this.#counts = counts;
    this.#log = new SharedLog(random.pick([15, 60, 100_000]), () => this.#time.date());
    this.#log.ignoresIds = fault === 'stores twice';
    this.#log.allowsAll = fault === 'allows all';
    this.#faults = {
      push: random.pick([0, 0.05, 0.3]),
      batch: random.pick([0, 0.02, 0.1]),
      refusal: random.pick([0, 0.05]),
      read: random.pick([0, 0.1]),
    };
    this.#storm = random.pick([1, 1, 3]);
    this.#mailbox = random.pick([60, 1000]);
    this.#settings = {
      sendBuffer: { records: random.int(4, 64), bytes: random.pick([500, 5000]) },
      window: { records: random.pick([16, 128]), bytes: random.pick([1000, 10_000]) },
      mailboxes: { broadcast: this.#mailbox },
      turn: { commands: random.int(1, 40), bytes: random.pick([100, 4000]) },
      hold: { records: random.int(1, 20), bytes: 500 },
      roomIdle: random.pick([500, 5000]),
      namedMembers: random.pick([3, 1000]),
      coalesce: (room) => (room === 'coalesces' ? { maxDelayMs: 100, maxBytes: 1000 } : undefined),
      slow: policyOf,
    };
    this.#plainWires = [numbered('one', ['evicts'], 400), numbered('two', ['evicts', 'coalesces'], 40, false)];
    this.#peers = Array.from({ length: PEERS }, (_, i) => ({
      session: new NodeSession(`u${i}`, this.#log, policyOf, counts),
      connection: undefined,
      fast: random.chance(0.4),
      changes: random.pick([true, true, false, undefined]),
    }));
    this.#plain = Array.from({ length: PLAIN }, (_, i) => ({
      name: `p${i}`,
      connection: undefined,
      received: new Map(),
    }));
  }

  /** @throws Violation */
  async run(nodes: number, steps: number): Promise<void> {
    while (this.#processes.length < nodes) await this.#start();
    for (let step = 0; step < steps; step++) {
      await this.#act();
      this.#receiveAll();
    }
    await this.#quiesce();
    this.#checkEnd();
    await this.#settleAll();
    await this.#shutDown();
    this.#counts.moves += this.#log.moves;
  }

  get #nodes(): readonly Node[] {
    return this.#processes.flatMap(({ nodes }) => nodes);
  }

  async #start(at = this.#processes.length): Promise<void> {
    const time = new ProcessTime(this.#time);
    const name = `n${++this.#started}`;
    const engine = new SharedEngine(name, this.#log, this.#time, this.#random, this.#faults, engineFault(this.#fault));
    if (this.#workers === 0) {
      const nodes = [await this.#startNode(engine, time, () => {})];
      this.#processes[at] = { time, engine, threads: undefined, nodes };
      return;
    }
    const fault = threadFault(this.#fault);
    const threads = new VirtualProcess(engine, time, this.#time, this.#random, fault, this.#ringScale);
    await threads.open();
    const nodes: Node[] = [];
    while (nodes.length < this.#workers) {
      const worker = threads.connect();
      nodes.push(await this.#startNode(worker.engine, time, worker.stall));
    }
    this.#processes[at] = { time, engine, threads, nodes };
  }

  async #startNode(engine: Engine, time: ProcessTime, stall: Node['stall']): Promise<Node> {
    const hub = new Hub({ engine, clock: time, scheduler: time, settings: this.#settings ?? {} });
    hub.events.on('failed', ({ event, error }) => {
      throw new Violation(`a listener of the event ${event} threw: ${error}`);
    });
    await hub.open();
    const wire = wireFor(this.#fault, (room, notice) => this.#checkHistory(hub, room, notice));
    return { time, hub, keepalive: new Keepalive(time, time, TICK), wire, stall };
  }

  // ── Actions ───────────────────────────────────────────────────────────────────────────────────

  async #act(): Promise<void> {
    const { int, chance } = choices(this.#random);
    const roll = this.#random.next();
    if (roll < 0.6) this.#actAsClient();
    else if (roll < 0.62) for (let left = this.#storm; left > 0; left--) this.#actAsStore();
    else if (roll < 0.63)
      this.#random.pick(this.#processes).engine.disconnect(this.#random.pick([1, 400, 3000, 13_000]));
    else if (roll < 0.634) await this.#replace();
    else if (this.#workers > 0 && roll < 0.66)
      this.#random.pick(this.#nodes).stall(this.#random.pick([5, 100, 1500, 4000]));
    else if (roll < 0.83) await this.#time.turnAsync();
    else if (roll < 0.89) await this.#time.settleAsync();
    else await this.#pass(chance(0.02) ? LONG : chance(0.1) ? int(1000, 4000) : int(1, 300));
  }

  #actAsClient(): void {
    const { int, pick } = choices(this.#random);
    const roll = this.#random.next();
    if (roll < 0.08) {
      this.#actAsPlain(pick(this.#plain));
      return;
    }
    const peer = pick(this.#peers);
    if (!isOpen(peer.connection)) this.#connect(peer);
    else if (roll < 0.24) this.#join(peer);
    else if (roll < 0.3) this.#leave(peer);
    else if (roll < 0.54) this.#send(peer);
    else if (roll < 0.58) for (let left = int(10, 60); left > 0; left--) this.#send(peer);
    else if (roll < 0.66) this.#retry(peer);
    else if (roll < 0.74) this.#request(peer);
    else if (roll < 0.81 && !peer.fast) peer.connection?.socket.stall();
    else if (roll < 0.88) peer.connection?.socket.read();
    else if (roll < 0.95) peer.connection?.socket.readSome();
    else this.#disconnect(peer);
  }

  #actAsStore(): void {
    const { int, chance, pick } = choices(this.#random);
    const rooms = chance(0.5) ? ROOMS : [pick(ROOMS)];
    const roll = this.#random.next();
    for (const room of rooms) {
      if (roll < 0.3) this.#log.move(room, 0);
      else if (roll < 0.75) this.#log.move(room, int(1, 4));
      else if (roll < 0.8) this.#log.replace(room);
      else this.#log.trim(room, int(1, 30));
    }
    // A failover breaks the connections of some nodes.
    if (roll < 0.8) for (const { engine } of this.#processes) if (chance(0.5)) engine.disconnect(pick([1, 50, 1000]));
  }

  #actAsPlain(plain: Plain): void {
    const { chance, pick } = choices(this.#random);
    const { connection } = plain;
    if (!isOpen(connection)) this.#connectPlain(plain);
    else if (chance(0.7)) {
      const room = pick(connection.client.wire.rooms);
      connection.client.message(Buffer.from(`${room}|${this.#data()}`), false);
    } else if (chance(0.3)) connection.socket.end(1006);
    else if (chance(0.5)) connection.socket.stall();
    else connection.socket.read();
  }

  #connect(peer: Peer): void {
    const { chance } = choices(this.#random);
    const { session } = peer;
    const node = this.#admittingNode();
    if (!node) return;
    this.#endConnection(peer); // the node has let go of the session
    const { user } = session;
    const limits = { message: 512, roomName: 128, rooms: 128, history: 1000 };
    const welcome = { t: 'welcome', session: user, user, resume: '', limits, heartbeat: 2 } as const;
    session.connected();
    peer.connection = this.#open(node, new Client(user, node.wire, this.#contextOf(node), { user, welcome }));
    for (const room of session.placedRooms)
      if (chance(0.8)) this.#post(peer, session.join(room, this.#changesOf(peer), session.placeIn(room)));
  }

  #changesOf({ changes }: Peer): boolean {
    return changes ?? this.#random.chance(0.5);
  }

  /** Checks that no text is sent that is gone by what the node's Hub has committed. */
  #checkFrame({ hub }: Node, client: Client, frame: Uint8Array): void {
    for (const message of this.#frames.read(frame)) {
      if (message.t !== 'message' && message.t !== 'change') continue;
      const room = hub.memberships(client).find((member) => member.room.name === message.room)?.room;
      const gone = room && this.#log.lifeOf(room.epoch)?.truth.goneText(message, room.log.head);
      if (gone) this.#violation ??= `${client.id} was sent ${JSON.stringify(message)}, which ${gone}`;
    }
  }

  #checkHistory(hub: Hub, name: string, records: readonly LogRecord[]): void {
    for (const peer of this.#peers) {
      const { connection } = peer;
      if (connection?.node.hub !== hub) continue;
      const room = hub.memberships(connection.client).find((member) => member.room.name === name)?.room;
      if (!room) continue;
      const truth = this.#log.lifeOf(room.epoch)?.truth;
      for (const { seq, data } of records) {
        const gone = data === '' ? undefined : truth?.deletion(seq, room.log.head);
        if (gone) this.#violation ??= `the history has ${data}, ${seq} of ${name}, which was deleted at ${gone}`;
      }
      return;
    }
  }
  #violation: string | undefined;

  #connectPlain(plain: Plain): void {
    const node = this.#admittingNode();
    if (!node) return;
    this.#endConnection(plain);
    const wire = this.#random.pick(this.#plainWires);
    plain.connection = this.#open(node, new Client(plain.name, wire, this.#contextOf(node)));
  }

  /** A node that cannot reach its store refuses handshakes, as soon as it has noticed. */
  #admittingNode(): Node | undefined {
    const node = this.#random.pick(this.#nodes);
    return node.hub.ready ? node : undefined;
  }

  #contextOf({ hub, keepalive, time }: Node) {
    return { hub, clock: time, keepalive, publishRate: 'off' as const };
  }

  #open(node: Node, client: Client): Connection {
    const { pick, chance } = choices(this.#random);
    const behaviour = {
      kernel: pick([0, 300, 3000]),
      backpressure: pick([-1, 0, 300, 5000]),
      closesAtOnce: chance(0.5),
    };
    const socket = new SimulatedSocket(client, behaviour);
    if (client.wire === node.wire) socket.sending = (frame) => this.#checkFrame(node, client, frame);
    client.open(socket);
    return { node, client, socket };
  }

  #join(peer: Peer): void {
    const { int, chance, pick } = choices(this.#random);
    const { session } = peer;
    const room = pick(ROOMS);
    // A join is refused at once where too many posts wait: even ahead of an earlier one.
    if (this.#mailbox < 1000 && session.isJoining(room)) return;
    const life = this.#log.life(room);
    const madeUp: Place = { epoch: chance(0.8) ? life.epoch : 'another', seq: int(0, life.records.length + 3) };
    const place = chance(0.2) ? pick([...session.earlierPlacesIn(room), undefined]) : session.placeIn(room);
    const changes = this.#changesOf(peer);
    if (place && chance(0.6)) this.#post(peer, session.join(room, changes, place));
    else if (chance(0.3)) this.#post(peer, session.join(room, changes, madeUp, 0, true));
    else this.#post(peer, session.join(room, changes, undefined, chance(0.5) ? int(1, 50) : 0));
  }

  #leave(peer: Peer): void {
    const { session } = peer;
    const room = this.#random.pick(ROOMS);
    if (session.rooms.has(room) && session.views.has(room)) this.#post(peer, session.leave(room));
  }

  #send(peer: Peer): void {
    const [first] = peer.session.rooms;
    const room = this.#random.chance(0.9) ? this.#random.pick([...peer.session.rooms]) : first;
    if (room !== undefined) this.#post(peer, peer.session.send(room, this.#fields(room)));
  }

  /** Returns a message, or a change of a recent one, which may be another's or none. */
  #fields(room: string): SendFields {
    const { int, chance, pick } = choices(this.#random);
    const text = this.#data();
    const data = chance(0.5) ? text : { text };
    const { length } = this.#log.life(room).records;
    const of = Math.max(1, length + 2 - int(0, chance(0.1) ? 300 : 12));
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
    if (room === undefined || !session.views.has(room)) return;
    const head = this.#log.life(room).records.length;
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

  #data(): string {
    return `${++this.#messages}`.padEnd(this.#random.int(1, 60), '.');
  }

  #post({ connection }: Peer, message: ClientMessage): void {
    connection?.client.message(Buffer.from(JSON.stringify(message)), false);
  }

  #disconnect({ connection }: Peer): void {
    const roll = this.#random.next();
    if (roll < 0.5) connection?.socket.end(1006);
    else if (roll < 0.75) connection?.client.end(closes.replaced);
    else connection?.client.goAway(100);
  }

  /** Kills a process as `kill -9` does, or after it has settled, and starts another one. */
  async #replace(): Promise<void> {
    const at = this.#random.int(0, this.#processes.length - 1);
    const process = this.#processes[at] as Process;
    const { nodes } = process;
    this.#counts.kills++;
    if (this.#random.chance(0.3)) for (const node of nodes) await this.#settle(node);
    process.engine.kill();
    process.time.kill();
    for (const peer of [...this.#peers, ...this.#plain])
      if (peer.connection && nodes.includes(peer.connection.node)) this.#endConnection(peer);
    this.#count(process);
    await this.#start(at);
  }

  #count({ engine, threads }: Process): void {
    this.#counts.skips += engine.skips;
    this.#counts.unknown += engine.unknown;
    this.#counts.repairs += engine.repairs;
    this.#counts.dropped += threads?.dropped ?? 0;
  }

  async #pass(ms: number): Promise<void> {
    await this.#time.settleAsync();
    for (let left = ms; left > 0; left -= TICK) {
      await this.#time.advanceAsync(Math.min(left, TICK));
      for (const socket of this.#sockets()) {
        if (!socket.stalled) socket.read();
        if (socket.closedWith && !socket.over) socket.end(socket.closedWith.code);
      }
      this.#receiveAll();
    }
  }

  #sockets(): SimulatedSocket[] {
    return [...this.#peers, ...this.#plain].flatMap(({ connection }) => connection?.socket ?? []);
  }

  // ── What the clients receive ──────────────────────────────────────────────────────────────────

  #receiveAll(): void {
    for (const peer of this.#peers) {
      this.#receive(peer);
      const socket = peer.connection?.socket;
      if (!socket?.over) continue;
      const { code = 0, reason = '' } = socket.closedWith ?? {};
      if (peer.fast && code >= 4000 && comesBack(code)) {
        throw new Violation(`${peer.session.user} never stopped reading but was closed with ${code}: ${reason}`);
      }
      this.#dropConnection(peer);
    }
    for (const plain of this.#plain) {
      this.#receivePlain(plain);
      if (plain.connection?.socket.over) this.#dropPlain(plain);
    }
  }

  #receive({ connection, session }: Peer): void {
    if (!connection) return;
    if (this.#violation) throw new Violation(this.#violation);
    const { socket } = connection;
    if (socket.misuse.length > 0) throw new Violation(`${session.user}: ${socket.misuse[0]}`);
    for (const frame of socket.received.splice(0))
      for (const message of this.#frames.read(frame)) session.receive(message);
  }

  readonly #frames = new FrameReader();

  #receivePlain({ name, connection, received }: Plain): void {
    if (!connection) return;
    for (const { room, seq, data } of parseFrames(connection.socket.received.splice(0))) {
      const records = received.get(room) ?? [];
      received.set(room, records);
      const last = records.at(-1)?.seq ?? seq - 1;
      if (seq !== last + 1) throw new Violation(`${name} received ${seq} of ${room} after ${last}`);
      records.push({ seq, data });
    }
  }

  #endConnection(peer: Peer | Plain): void {
    const { connection } = peer;
    if (!connection) return;
    connection.socket.end(connection.socket.closedWith?.code ?? 1006);
    if ('session' in peer) {
      this.#receive(peer);
      this.#dropConnection(peer);
    } else this.#dropPlain(peer);
  }

  #dropConnection(peer: Peer): void {
    peer.session.disconnected();
    peer.connection = undefined;
  }

  /** Checks that one connection received records of one life: a loss closes it. */
  #dropPlain(plain: Plain): void {
    this.#receivePlain(plain);
    for (const [room, records] of plain.received) {
      const isOfOneLife = this.#log.lives(room).some((life) => records.every((record) => isOf(life, record)));
      if (!isOfOneLife) throw new Violation(`${plain.name} received records of several lives of ${room}`);
    }
    plain.received.clear();
    plain.connection = undefined;
  }

  // ── The end ───────────────────────────────────────────────────────────────────────────────────

  /** Reconnects every session, lets it read and retry, without further failures. */
  async #quiesce(): Promise<void> {
    Object.assign(this.#faults, { push: 0, batch: 0, refusal: 0, read: 0 });
    await this.#readAll(3, 5000);
    for (let rounds = 0; rounds < 3; rounds++) {
      for (const peer of this.#peers) this.#returnTo(peer);
      for (const plain of this.#plain) if (!isOpen(plain.connection)) this.#connectPlain(plain);
      await this.#readAll(4, 1500);
    }
    for (let rounds = 0; rounds < 100 && this.#retryAll(); rounds++) await this.#readAll(1, 500);
    await this.#readAll(3, 2000);
    for (const { session, connection } of this.#peers) {
      if (!isOpen(connection)) throw new Violation(`${session.user} was closed while it read everything`);
      if (session.views.size < ROOMS.length)
        throw new Violation(`${session.user} joined only ${session.views.size} of ${ROOMS.length} rooms`);
    }
  }

  async #readAll(rounds: number, ms: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      for (const socket of this.#sockets()) socket.read();
      await this.#pass(ms);
    }
  }

  /** Connects a session, and joins the rooms. */
  #returnTo(peer: Peer): void {
    const { session } = peer;
    if (!isOpen(peer.connection)) this.#connect(peer);
    if (!isOpen(peer.connection)) return; // refused: it comes back in the next round
    for (const room of ROOMS) {
      if (session.rooms.has(room)) continue;
      this.#post(peer, session.join(room, this.#changesOf(peer), session.placeIn(room)));
    }
  }

  /** Retries what was not acknowledged or is lost, a few at once. @returns whether there is any. */
  #retryAll(): boolean {
    const retries = this.#peers.map((peer) => {
      const ids = [...peer.session.messages].filter(([, { place, isRefused }]) => !place && !isRefused);
      for (const [id, { open }] of ids.slice(0, 8)) if (open === 0) this.#post(peer, peer.session.retry(id));
      return ids.length;
    });
    return Math.max(...retries) > 0;
  }

  #checkEnd(): void {
    for (const { session, connection } of this.#peers) {
      const members = [...this.#peers, ...this.#plain]
        .filter((other) => other.connection?.node === connection?.node)
        .map((other) => ('session' in other ? other.session.user : other));
      session.checkEnd((room) =>
        members.flatMap((member) => {
          if (typeof member === 'string') return member;
          return member.connection?.client.wire.rooms.includes(room) ? member.name : [];
        }),
      );
    }
    for (const { name, connection, received } of this.#plain) {
      for (const [room, records] of received) {
        const life = this.#log.life(room);
        const { records: stored } = life;
        if (records.some((record) => !isOf(life, record))) {
          throw new Violation(`${name} received records of ${room} that are lost, and was not closed`);
        }
        const last = records.at(-1)?.seq;
        if (isOpen(connection) && last !== stored.length) {
          throw new Violation(`${name} received ${room} up to ${last} of ${stored.length}`);
        }
      }
    }
    for (const room of ROOMS) this.#checkStored(room);
  }

  /** Each life of the log has each message once, by its id or its text, and no wrong change. */
  #checkStored(room: string): void {
    for (const { epoch, records, truth } of this.#log.lives(room)) {
      const seqs = new Map<string, number>();
      for (const { seq, id, data } of records) {
        const key = id === '' ? data : id;
        if (seqs.has(key)) throw new Violation(`${key} is stored twice in ${epoch}, as ${seqs.get(key)} and ${seq}`);
        seqs.set(key, seq);
      }
      const wrong = truth.checkChanges();
      if (wrong) throw new Violation(`${wrong} in ${epoch}`);
    }
  }

  /** Checks that an orderly shutdown ends, however the store behaves. */
  async #settle({ hub }: Node): Promise<void> {
    let isSettled = false;
    const settled = hub.settle().then(() => {
      isSettled = true;
    });
    await this.#time.react();
    for (let waited = 0; !isSettled; waited += TICK) {
      if (waited > 2 * LONG) throw new Violation('a node did not settle');
      await this.#pass(TICK);
      await this.#time.react();
    }
    await settled;
  }

  /** Sends once more, and lets every server deliver it before it stops. */
  async #settleAll(): Promise<void> {
    for (const peer of this.#peers) this.#send(peer);
    for (const node of this.#nodes) await this.#settle(node);
    await this.#readAll(3, 2000);
    for (const { connection } of this.#peers) {
      for (const { room, behind } of connection ? connection.node.hub.memberships(connection.client) : []) {
        const { waiting, inFlight } = room.undecided;
        if (waiting + inFlight > 0) throw new Violation(`${waiting + inFlight} drafts of ${room.name} are undecided`);
        if (behind > 0) throw new Violation(`a member is still ${behind} records behind in ${room.name}`);
      }
    }
  }

  /** Disconnects all peers: then no room, client or timer may be left, and no question be open. */
  async #shutDown(): Promise<void> {
    for (const { connection } of [...this.#peers, ...this.#plain]) connection?.socket.end(1006);
    await this.#pass(2 * LONG);
    for (const { hub, keepalive } of this.#nodes) {
      if (hub.rooms > 0) throw new Violation(`${hub.rooms} rooms are left in memory after all have left`);
      if (keepalive.clients.size > 0) throw new Violation(`${keepalive.clients.size} clients are left in memory`);
      await hub.close();
    }
    for (const process of this.#processes) {
      const { answers, drafts, rooms } = process.engine.pending;
      if (rooms > 0) throw new Violation(`${rooms} rooms are left attached after all have left`);
      if (answers + drafts > 0) throw new Violation(`${answers} answers and ${drafts} drafts are left`);
      process.engine.close();
      this.#count(process);
    }
    if (this.#time.timers > 0) throw new Violation(`${this.#time.timers} timers are left after all have closed`);
  }
}

function isOpen(connection: Connection | undefined): connection is Connection {
  return connection !== undefined && !connection.client.closed;
}

/** Whether a life of the log has a record that a plain client received. */
function isOf({ records }: Life, { seq, data }: { readonly seq: number; readonly data: string }): boolean {
  return records[seq - 1]?.data === data || (data === CHANGED && records[seq - 1] !== undefined);
}

const THREAD_FAULTS: readonly unknown[] = ['loses frames', 'repeats frames'] satisfies ThreadFault[];
const ENGINE_FAULTS: readonly unknown[] = [
  'loses pushes',
  'forgets moves',
  'never catches up',
  'reorders drafts',
  'numbers wrongly',
] satisfies EngineFault[];

function engineFault(fault: Fault | undefined): EngineFault | undefined {
  return ENGINE_FAULTS.includes(fault) ? (fault as EngineFault) : undefined;
}

function threadFault(fault: Fault | undefined): ThreadFault | undefined {
  return THREAD_FAULTS.includes(fault) ? (fault as ThreadFault) : undefined;
}

/** @param onHistory gets the records of each answer to a request for history. */
function wireFor(fault: Fault | undefined, onHistory: (room: string, records: readonly LogRecord[]) => void): Wire {
  const wire = v1({ maxMessageSize: 512, pingPeriod: 2_000, pongWait: 3_000, writeWait: 1_000 });
  const encodeNotice: Wire['encodeNotice'] = (notice) => {
    if (notice.t === 'history') onHistory(notice.room, notice.records);
    if (fault !== 'tells nothing of lost messages' || notice.t !== 'joined' || !notice.lost) {
      return wire.encodeNotice(notice);
    }
    const { lost: _, ...joined } = notice;
    return wire.encodeNotice({ ...joined, recovered: true });
  };
  const { withChanges } = wire;
  return { ...wire, encodeNotice, ...(withChanges && { withChanges: { ...withChanges, encodeNotice } }) };
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
export async function simulateNodes(seed: number, options: NodesOptions = {}): Promise<string | undefined> {
  const { nodes = 2, steps = 300 } = options;
  try {
    await new NodesSimulation(seed, options).run(nodes, steps);
    return undefined;
  } catch (error) {
    return error instanceof Violation ? error.message : ((error as Error).stack ?? String(error));
  }
}
