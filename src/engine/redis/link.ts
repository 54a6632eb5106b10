import { isErrorReply, loadDriver } from './driver.ts';
import { appendScript, openScript } from './scripts.lua.ts';

/** Receives a message of a channel. The buffer is only valid during the call. */
export type MessageListener = (message: Buffer) => void;

// A bound against a bug or a stopped server; the engine's own bounds are lower.
const MAX_QUEUED_COMMANDS = 100_000;
const CONNECT_TIMEOUT_MS = 2_000;

type Client = Awaited<ReturnType<typeof connectable>>;

/**
 * The two connections to a primary: one for appends and what is pushed, so that a node that can
 * write can also receive, and one for reads, so that long replies delay no push. They end together.
 * A link never reconnects: its subscriptions end with it.
 */
export class Link {
  readonly #hot: Client;
  readonly #cold: Client;
  readonly #onEnd: (error: Error) => void;
  #open = true;
  /** The primary's replication id, by the last answer. */
  replid = '';

  private constructor(hot: Client, cold: Client, onEnd: (error: Error) => void) {
    this.#hot = hot;
    this.#cold = cold;
    this.#onEnd = onEnd;
    hot.on('error', (error: Error) => this.fail(error));
    cold.on('error', (error: Error) => this.fail(error));
  }

  /**
   * Connects to a primary and loads the scripts.
   *
   * @param onEnd called once when the link is lost, not when it is closed.
   * @throws Error when the server cannot be reached or is no primary.
   */
  static async open(url: string, onEnd: (error: Error) => void): Promise<Link> {
    const hot = await connectable(url);
    const cold = await connectable(url);
    let established = false;
    let cause: Error | undefined;
    const link = new Link(hot, cold, (error) => {
      cause = error;
      if (established) onEnd(error);
    });
    try {
      await Promise.all([hot.connect(), cold.connect()]);
      await link.check();
      await link.loadScripts();
    } catch (error) {
      link.close();
      throw cause ?? error;
    }
    if (!link.#open) throw cause ?? new Error('the connection was lost');
    established = true;
    return link;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Runs a command, in order with all that is pushed. Rejects when the link is lost. */
  command(args: readonly string[]): Promise<unknown> {
    return this.#hot.sendCommand(args as string[]);
  }

  /** Runs a command whose reply may be long. */
  query(args: readonly string[]): Promise<unknown> {
    return this.#cold.sendCommand(args as string[]);
  }

  /** Resolves when the subscription is confirmed: `listener` receives all messages from then on. */
  async subscribe(channel: string, listener: MessageListener): Promise<void> {
    if (!this.#open) throw new Error('the connection was lost');
    await this.#hot.subscribe(channel, listener, true);
  }

  async unsubscribe(channel: string, listener: MessageListener): Promise<void> {
    if (this.#open) await this.#hot.unsubscribe(channel, listener, true);
  }

  async loadScripts(): Promise<void> {
    await Promise.all([appendScript, openScript].map(({ text }) => this.command(['SCRIPT', 'LOAD', text])));
  }

  /** Reads role and replication id. @throws Error when the server is no primary. */
  async check(): Promise<void> {
    const info = String(await this.command(['INFO', 'replication']));
    const role = /^role:(\w+)/m.exec(info)?.[1];
    if (role !== 'master') throw new Error(`the server is a ${role === 'slave' ? 'replica' : role}, not the primary`);
    this.replid = /^master_replid:(\w+)/m.exec(info)?.[1] ?? '';
  }

  /** Ends the link as lost. Commands without a reply are rejected. */
  fail(error: Error): void {
    if (!this.#open) return;
    this.close();
    this.#onEnd(error);
  }

  close(): void {
    this.#open = false;
    this.#hot.destroy();
    this.#cold.destroy();
  }
}

/** Reports whether a reply says that the server does not take commands as a primary. */
export function isAnotherPrimaryNeeded(error: unknown): boolean {
  return isErrorReply(error) && /^(READONLY|LOADING|MASTERDOWN)\b/.test(error.message);
}

async function connectable(url: string) {
  const { createClient } = await loadDriver();
  return createClient({
    url,
    RESP: 3,
    name: 'pumphouse',
    disableOfflineQueue: true,
    commandsQueueMaxLength: MAX_QUEUED_COMMANDS,
    maintNotifications: 'disabled',
    // Its timer for each command costs more than the command. The shard's beat finds a server that
    // does not answer.
    commandOptions: { timeout: 0 },
    socket: { reconnectStrategy: false, connectTimeout: CONNECT_TIMEOUT_MS },
  });
}

/** Runs one command on a connection of its own. */
export async function askOnce(url: string, args: readonly string[], timeoutMs: number): Promise<unknown> {
  const client = await connectable(url);
  client.on('error', () => {}); // the pending command is rejected with it
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    client.destroy();
  }, timeoutMs);
  try {
    await client.connect();
    return await client.sendCommand(args as string[]);
  } catch (error) {
    throw timedOut ? new Error(`no answer for ${timeoutMs} ms`) : error;
  } finally {
    clearTimeout(timer);
    client.destroy();
  }
}

/**
 * Subscribes to a channel on a connection of its own.
 *
 * @param onEnd called once when the connection is lost.
 * @returns a function that closes it.
 */
export async function subscribeOnce(
  url: string,
  channel: string,
  listener: (message: string) => void,
  onEnd: () => void,
): Promise<() => void> {
  const client = await connectable(url);
  let isSubscribed = false;
  client.on('error', () => {
    client.destroy();
    if (isSubscribed) onEnd();
    isSubscribed = false;
  });
  try {
    await client.connect();
    await client.subscribe(channel, listener);
  } catch (error) {
    client.destroy();
    throw error;
  }
  isSubscribed = client.isOpen;
  if (!isSubscribed) throw new Error('the connection was lost');
  return () => client.destroy();
}

/** Returns the first line of what went wrong. */
export function reasonOf(error: unknown): string {
  // Connecting to several addresses of a name fails with an AggregateError, which has no message.
  const { message, code } = error as NodeJS.ErrnoException;
  const reason = message || code || String(error);
  return reason.split('\n')[0] as string;
}
