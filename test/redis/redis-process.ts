import { readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Certificate,
  type Directive,
  ServerProcess,
  type ServerSpec,
  tlsDirectives,
  tlsOptions,
} from './server-process.ts';
import { waitUntil } from './wait.ts';

/** A user of the ACL. */
interface RedisUser {
  readonly name: string;
  readonly password: string;
  /** What it may do. @default everything */
  readonly rules?: string;
}

export interface RedisOptions {
  /** Writes an append-only file with this policy. @default no persistence */
  readonly appendFsync?: 'always' | 'everysec';
  /** The port of the primary to replicate: a server's or a proxy's. @default a primary */
  readonly replicaOf?: number;
  /** The port that sentinels and INFO name instead of its own: a proxy's. */
  readonly announcePort?: number;
  /** The password of the user `default`, also for replication. @default none is needed */
  readonly password?: string;
  /**
   * The only user; `default` is off.
   *
   * @default `default`
   */
  readonly user?: RedisUser;
  /** The server then accepts TLS only. @default plain TCP */
  readonly tls?: Certificate;
  /** Further directives, such as `['maxmemory', '5mb']`. */
  readonly config?: readonly Directive[];
}

/** A Redis or Valkey server in its own process. */
export class RedisProcess extends ServerProcess {
  readonly #options: RedisOptions;

  private constructor(port: number, folder: string, spec: ServerSpec, options: RedisOptions) {
    super(port, folder, spec);
    this.#options = options;
  }

  /** Starts a server on a free port and waits until it accepts commands. `stop` cleans up. */
  static async start(options: RedisOptions = {}): Promise<RedisProcess> {
    const prepared = await ServerProcess.prepare((port, folder) => specify(port, folder, options));
    const server = new RedisProcess(...prepared, options);
    await server.launch();
    return server;
  }

  /** The URL for `--redis`. */
  get url(): string {
    const { user, password, tls } = this.#options;
    const [name, secret] = user ? [user.name, user.password] : ['', password];
    const credentials = secret === undefined ? '' : `${encodeURIComponent(name)}:${encodeURIComponent(secret)}@`;
    return `${tls ? 'rediss' : 'redis'}://${credentials}127.0.0.1:${this.port}`;
  }

  /** Host and port. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The incremental append-only file, while the server has one. */
  get appendFile(): string {
    const folder = join(this.folder, 'appendonlydir');
    return join(folder, readdirSync(folder).find((file) => file.endsWith('.incr.aof')) as string);
  }

  /** Cuts bytes off the end of the append-only file, after `kill`. */
  truncate(bytes: number): void {
    truncateSync(this.appendFile, statSync(this.appendFile).size - bytes);
  }

  /**
   * Cuts the replicas off, and rejects them when they reconnect. What is written from now on is
   * lost if the process is killed and a replica promoted. Pausing a replica would not do it: it
   * still reads what the kernel keeps for it.
   */
  async rejectReplicas(): Promise<void> {
    await this.command('ACL', 'SETUSER', 'default', '-psync', '-sync');
    await this.command('CLIENT', 'KILL', 'TYPE', 'replica');
    await waitUntil('the replicas are cut off', async () => (await this.info('connected_slaves')) === '0');
  }

  /** Ends `rejectReplicas`. A restart without a rewritten configuration ends it too. */
  async acceptReplicas(): Promise<void> {
    await this.command('ACL', 'SETUSER', 'default', '+psync', '+sync');
  }

  /** Makes the server a primary. Its `master_replid` changes. */
  async promote(): Promise<void> {
    await this.command('REPLICAOF', 'NO', 'ONE');
  }

  /**
   * Makes the server a replica of the primary at a port. Its clients stay connected, unlike after a
   * sentinel's failover, which kills them.
   */
  async replicate(port: number): Promise<void> {
    await this.command('REPLICAOF', '127.0.0.1', port);
  }

  /** Waits until a replica is in step with its primary. */
  async synchronized(ms?: number): Promise<void> {
    const inStep = async () =>
      (await this.info('master_link_status')) === 'up' && (await this.info('master_sync_in_progress')) === '0';
    await waitUntil(`the replica on port ${this.port} is synchronized`, inStep, ms);
  }
}

function specify(port: number, folder: string, options: RedisOptions): ServerSpec {
  const { appendFsync, replicaOf, announcePort, password, user, tls, config = [] } = options;
  const directives: Directive[] = [
    ['bind', '127.0.0.1'],
    ...(tls ? tlsDirectives(port, folder, tls) : [['port', port] as const]),
    ['dir', folder],
    ['save', ''],
    ['appendonly', appendFsync ? 'yes' : 'no'],
    ['enable-debug-command', 'yes'],
    // Replication starts at once, and a lost link is noticed within seconds.
    ['repl-diskless-sync-delay', 0],
    ['repl-ping-replica-period', 1],
    ['repl-timeout', 5],
  ];
  if (appendFsync) directives.push(['appendfsync', appendFsync]);
  if (replicaOf !== undefined) directives.push(['replicaof', '127.0.0.1', replicaOf]);
  if (announcePort !== undefined) directives.push(['replica-announce-port', announcePort]);
  if (password !== undefined) directives.push(['requirepass', password], ['masterauth', password]);
  if (user) {
    const rules = (user.rules ?? '~* &* +@all').split(' ');
    directives.push(['user', 'default', 'off'], ['user', user.name, 'on', `>${user.password}`, ...rules]);
    directives.push(['masteruser', user.name], ['masterauth', user.password]);
  }
  directives.push(...config);
  return {
    directives,
    ...(password !== undefined && { credentials: [password] }),
    ...(user && { credentials: [user.name, user.password] }),
    ...(tls && { tls: tlsOptions(tls) }),
  };
}
