import { connect, type Socket } from 'node:net';
import { Lane } from './lane.ts';
import type { Rule, Rules, StalledRequest } from './proxy-rules.ts';
import { commandName, decode, isPush, type Reply, RespSplitter } from './resp.ts';

/** Commands whose confirmations are pushes in RESP3: no reply comes for them. */
const SUBSCRIPTIONS = /^[PS]?(UN)?SUBSCRIBE$/;

/** The fault of a command's reply, if it has one. */
type Expected = Rule | undefined;

/** One connection of a proxy: the node's socket, Redis's, and the faults between them. */
export class ProxiedConnection {
  readonly requests: Lane;
  readonly replies: Lane;
  onClose: () => void = () => {};
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #rules: Rules;
  readonly #fromClient = new RespSplitter();
  readonly #fromUpstream = new RespSplitter();
  /** The faults of the commands that Redis has not replied to, oldest first. */
  readonly #expected: Expected[] = [];
  #isOver = false;
  #stalled: StalledCommands | undefined;

  constructor(client: Socket, target: number, rules: Rules) {
    this.#client = client;
    this.#rules = rules;
    this.#upstream = connect(target, '127.0.0.1');
    this.requests = new Lane(client, this.#upstream);
    this.replies = new Lane(this.#upstream, client);
    for (const socket of [client, this.#upstream]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
    }
    client.on('data', (bytes) => {
      for (const command of this.#fromClient.push(bytes)) this.#onCommand(command);
    });
    this.#upstream.on('data', (bytes) => {
      for (const value of this.#fromUpstream.push(bytes)) this.#onValue(value);
    });
    client.on('close', () => this.#onClientClosed());
    this.#upstream.on('close', () => this.#onUpstreamClosed());
  }

  /** Closes both sides at once. */
  destroy(): void {
    this.requests.stop();
    this.replies.stop();
    this.#client.destroy();
    if (!this.#stalled) this.#upstream.destroy();
    this.#finish();
  }

  #onCommand(command: Buffer): void {
    if (this.#stalled) {
      this.#stalled.keep(command);
      return;
    }
    const rule = this.#rules.forCommand(command);
    if (rule?.fault.kind === 'loseRequest') {
      this.destroy();
      rule.happened();
      return;
    }
    if (rule?.fault.kind === 'stall') {
      this.#stall(command, rule);
      return;
    }
    if (!SUBSCRIPTIONS.test(commandName(command))) this.#expected.push(rule);
    this.requests.push(command);
  }

  /** The rest of the client's bytes has been read by the next turn, when the client is cut off. */
  #stall(command: Buffer, rule: Rule): void {
    const stalled = new StalledCommands(this.#upstream, this.#expected.length);
    stalled.keep(command);
    this.#stalled = stalled;
    setImmediate(() => {
      this.destroy();
      rule.happened(stalled);
    });
  }

  #onValue(value: Buffer): void {
    if (this.#stalled) {
      if (!isPush(value)) this.#stalled.replied(decode(value));
      return;
    }
    if (isPush(value)) {
      const rule = this.#rules.forPush(value);
      rule?.happened();
      if (!rule && !losesPushes(this.#expected[0])) this.replies.push(value);
      return;
    }
    const rule = this.#expected.shift();
    if (rule?.fault.kind === 'loseReply') this.#loseReply(rule);
    else {
      if (rule?.fault.kind === 'holdReply') this.replies.hold();
      this.replies.push(value);
      rule?.happened();
    }
  }

  /** The replies before the lost one arrive, then the connection ends. */
  #loseReply(rule: Rule): void {
    this.#upstream.removeAllListeners('data');
    this.#upstream.destroy();
    this.requests.stop();
    this.replies.end();
    rule.happened();
  }

  #onClientClosed(): void {
    this.replies.stop();
    if (!this.#stalled) this.requests.end();
    this.#finish();
  }

  #onUpstreamClosed(): void {
    this.requests.stop();
    this.replies.end();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.onClose();
  }
}

/** Whether the command that Redis executes now loses its pushes beside its reply. */
function losesPushes(next: Expected): boolean {
  return next?.fault.kind === 'loseReply' && next.fault.pushes;
}

/** The commands of a stalled connection, and the replies once Redis has executed them. */
class StalledCommands implements StalledRequest {
  readonly #upstream: Socket;
  readonly #commands: Buffer[] = [];
  readonly #replies: Reply[] = [];
  /** Replies to earlier commands, which the client is too late for. */
  #earlier: number;
  #onReply: () => void = () => {};

  constructor(upstream: Socket, earlier: number) {
    this.#upstream = upstream;
    this.#earlier = earlier;
  }

  keep(command: Buffer): void {
    this.#commands.push(command);
  }

  replied(reply: Reply): void {
    if (this.#earlier > 0) this.#earlier--;
    else this.#replies.push(reply);
    this.#onReply();
  }

  async deliver(): Promise<Reply[]> {
    await new Promise<void>((resolve, reject) => {
      this.#onReply = () => {
        if (this.#replies.length >= this.#commands.length) resolve();
      };
      this.#upstream.once('close', () => reject(new Error('Redis closed the connection of the stalled command')));
      if (this.#upstream.destroyed) reject(new Error('the connection of the stalled command is closed'));
      else this.#upstream.write(Buffer.concat(this.#commands));
    });
    this.#upstream.destroy();
    return this.#replies;
  }

  drop(): void {
    this.#upstream.destroy();
  }
}
