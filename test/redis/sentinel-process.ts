import { type RedisOptions, RedisProcess } from './redis-process.ts';
import type { Reply } from './resp.ts';
import {
  type Certificate,
  type Directive,
  ServerProcess,
  type ServerSpec,
  tlsDirectives,
  tlsOptions,
} from './server-process.ts';
import { waitUntil } from './wait.ts';

export interface SentinelOptions {
  /** @default 'main' */
  readonly name?: string;
  /** Sentinels that must agree that the primary is down. @default a majority */
  readonly quorum?: number;
  /** Milliseconds of silence after which a sentinel considers a server down. @default 500 */
  readonly downAfterMs?: number;
  /** Milliseconds; a failed failover is tried again after twice as long. @default 2,000 */
  readonly failoverTimeoutMs?: number;
  /** The password of the primary and its replicas. @default none */
  readonly serverPassword?: string;
  /** The user of the primary and its replicas. @default `default` */
  readonly serverUser?: string;
  /** The password of the sentinels themselves. @default none */
  readonly password?: string;
  /** The certificate of the sentinels, and of the servers that they watch. @default plain TCP */
  readonly tls?: Certificate;
}

/** One sentinel in its own process. */
class SentinelProcess extends ServerProcess {
  static async start(specify: (port: number, folder: string) => ServerSpec): Promise<SentinelProcess> {
    const sentinel = new SentinelProcess(...(await ServerProcess.prepare(specify)));
    await sentinel.launch();
    return sentinel;
  }

  async count(what: 'sentinels' | 'replicas', name: string): Promise<number> {
    const replies = await this.command('SENTINEL', what, name);
    return Array.isArray(replies) ? replies.length : 0;
  }
}

function credentialsOf(name: string, { password, serverUser, serverPassword }: SentinelOptions): Directive[] {
  const directives: Directive[] = [];
  if (serverUser !== undefined) directives.push(['sentinel', 'auth-user', name, serverUser]);
  if (serverPassword !== undefined) directives.push(['sentinel', 'auth-pass', name, serverPassword]);
  if (password !== undefined) directives.push(['requirepass', password], ['sentinel', 'sentinel-pass', password]);
  return directives;
}

/** Sentinels that watch one primary and its replicas. */
export class Sentinels {
  readonly name: string;
  readonly processes: readonly SentinelProcess[];

  private constructor(name: string, processes: readonly SentinelProcess[]) {
    this.name = name;
    this.processes = processes;
  }

  /**
   * Starts sentinels and waits until they know each other and the replicas.
   *
   * @param replicas the number of replicas to wait for. @param count the number of sentinels.
   */
  static async start(primary: number, replicas: number, count = 3, options: SentinelOptions = {}): Promise<Sentinels> {
    const { name = 'main', quorum = Math.floor(count / 2) + 1, tls } = options;
    const specify = (port: number, folder: string): ServerSpec => ({
      directives: [
        ['bind', '127.0.0.1'],
        ...(tls ? tlsDirectives(port, folder, tls) : [['port', port] as const]),
        ['dir', folder],
        ['sentinel', 'monitor', name, '127.0.0.1', primary, quorum],
        ['sentinel', 'down-after-milliseconds', name, options.downAfterMs ?? 500],
        ['sentinel', 'failover-timeout', name, options.failoverTimeoutMs ?? 2_000],
        ['sentinel', 'parallel-syncs', name, 2],
        ...credentialsOf(name, options),
      ],
      flags: ['--sentinel'],
      ...(options.password !== undefined && { credentials: [options.password] }),
      ...(tls && { tls: tlsOptions(tls) }),
    });
    const starting = Array.from({ length: count }, () => SentinelProcess.start(specify));
    const sentinels = new Sentinels(name, await Promise.all(starting));
    await sentinels.#discover(count - 1, replicas);
    return sentinels;
  }

  /** The URLs for `--redis`, beside `--redis-sentinel NAME`. */
  get urls(): string[] {
    return this.processes.map(({ port }) => `redis://127.0.0.1:${port}`);
  }

  /** The port of the primary, as the first running sentinel reports it. */
  async masterPort(): Promise<number> {
    const address = await this.#first().command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name);
    return Number((address as Reply[])[1]);
  }

  /** Waits until every running sentinel reports another primary. @returns its port. */
  async failedOver(from: number, ms = 40_000): Promise<number> {
    const ports = () =>
      Promise.all(
        this.processes
          .filter((sentinel) => sentinel.running)
          .map(async (sentinel) => {
            const address = await sentinel.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name);
            return Number((address as Reply[])[1]);
          }),
      );
    await waitUntil(`the sentinels replace ${from}`, async () => (await ports()).every((port) => port !== from), ms);
    return this.masterPort();
  }

  /**
   * Fails over at once, though the primary is well: it stays a primary beside the new one for about
   * ten seconds, until a sentinel demotes it. `pause` makes the split brain last.
   */
  async failover(): Promise<void> {
    const start = async () => (await this.#first().command('SENTINEL', 'FAILOVER', this.name)) === 'OK';
    await waitUntil('the sentinel has a replica to promote', start, 20_000);
  }

  /** Stops the sentinels where they are. */
  pause(): void {
    for (const sentinel of this.processes) sentinel.pause();
  }

  /** Continues paused sentinels. They skip failovers for 30 seconds (TILT) after a long pause. */
  resume(): void {
    for (const sentinel of this.processes) sentinel.resume();
  }

  async stop(): Promise<void> {
    await Promise.all(this.processes.map((sentinel) => sentinel.stop()));
  }

  #first(): SentinelProcess {
    const sentinel = this.processes.find(({ running }) => running);
    if (!sentinel) throw new Error('no sentinel is running');
    return sentinel;
  }

  async #discover(others: number, replicas: number): Promise<void> {
    const complete = async (sentinel: SentinelProcess) =>
      (await sentinel.count('sentinels', this.name)) === others &&
      (await sentinel.count('replicas', this.name)) === replicas;
    const all = async () => (await Promise.all(this.processes.map(complete))).every(Boolean);
    await waitUntil('the sentinels know each other and the replicas', all, 20_000);
  }
}

/** A primary with replicas, and optionally sentinels. */
export class RedisGroup {
  readonly servers: RedisProcess[];
  readonly sentinels: Sentinels | undefined;

  private constructor(servers: RedisProcess[], sentinels: Sentinels | undefined) {
    this.servers = servers;
    this.sentinels = sentinels;
  }

  /**
   * Starts a primary, its replicas in step with it, and sentinels.
   *
   * @param sentinels how many; 0 for a group that only `loseTail` and `promote` change.
   */
  static async start(
    { replicas = 1, sentinels = 0 }: { readonly replicas?: number; readonly sentinels?: number } = {},
    options: RedisOptions = {},
    sentinelOptions: SentinelOptions = {},
  ): Promise<RedisGroup> {
    const primary = await RedisProcess.start(options);
    const starting = Array.from({ length: replicas }, () =>
      RedisProcess.start({ ...options, replicaOf: primary.port }),
    );
    const followers = await Promise.all(starting);
    await Promise.all(followers.map((follower) => follower.synchronized()));
    const watching = sentinels > 0 ? Sentinels.start(primary.port, replicas, sentinels, sentinelOptions) : undefined;
    return new RedisGroup([primary, ...followers], await watching);
  }

  /** The server at a port, such as that of `sentinels.masterPort()`. */
  at(port: number): RedisProcess {
    const server = this.servers.find((candidate) => candidate.port === port);
    if (!server) throw new Error(`no server of the group has port ${port}`);
    return server;
  }

  /**
   * Kills a primary such that the replicas lack what is written during `write`. Sentinels then
   * promote a replica, unless `write` takes longer than ten times `downAfterMs`: a replica that was
   * cut off for longer is not promoted. A primary that is only to be separated stays running:
   * `kill: false`.
   */
  async loseTail(primary: RedisProcess, write: () => unknown, { kill = true } = {}): Promise<void> {
    await primary.rejectReplicas();
    await write();
    if (kill) await primary.kill();
  }

  /** Promotes a replica by hand, and has the other running servers replicate it. */
  async promote(replica: RedisProcess, others = this.servers): Promise<void> {
    await replica.promote();
    const following = others.filter((server) => server !== replica && server.running);
    await Promise.all(following.map((server) => server.replicate(replica.port)));
  }

  /** Waits until the running replicas have everything that a primary has written by now. */
  async replicated(primary: RedisProcess): Promise<void> {
    const end = Number(await primary.info('master_repl_offset'));
    const replicas = this.servers.filter((server) => server !== primary && server.running);
    const offsets = () => Promise.all(replicas.map((replica) => replica.info('slave_repl_offset')));
    await waitUntil('the replicas have everything', async () =>
      (await offsets()).every((offset) => Number(offset) >= end),
    );
  }

  async stop(): Promise<void> {
    await this.sentinels?.stop();
    await Promise.all(this.servers.map((server) => server.stop()));
  }
}
