import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { type Body, SECRET } from './fixtures.ts';

/** A request that a receiver has got, with a valid signature. */
export interface ReceivedRequest {
  readonly id: string;
  readonly text: string;
  readonly body: Body;
}

type Answer = (request: ReceivedRequest, response: ServerResponse) => void;

/**
 * A receiver on HTTP, which checks the signatures with the library of the specification, and the
 * guarantees: in order, nothing missing, and one content for each id.
 */
export class ReceiverServer {
  readonly requests: ReceivedRequest[] = [];
  /** Breaches of what receivers rely on. */
  readonly violations: string[] = [];
  /** The messages of each room, each once, in order. */
  readonly messages = new Map<string, { seq: number; id: string; data: unknown }[]>();
  /** Answers a request. */
  answer: Answer = (_, response) => response.end();
  connections = 0;
  readonly #server: Server;
  readonly #webhook = new Webhook(SECRET);
  readonly #contents = new Map<string, string>();

  private constructor() {
    this.#server = createServer((request, response) => void this.#receive(request, response));
    this.#server.on('connection', () => this.connections++);
  }

  static async start(): Promise<ReceiverServer> {
    const receiver = new ReceiverServer();
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook?token=private`;
  }

  /** The `seq` of each message of a room. */
  seqs(room: string): number[] {
    return (this.messages.get(room) ?? []).map(({ seq }) => seq);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return; // the sender was killed
    }
    const text = Buffer.concat(chunks).toString();
    let body: Body;
    try {
      body = this.#webhook.verify(text, request.headers as Record<string, string>) as Body;
    } catch (error) {
      this.violations.push(`the signature: ${(error as Error).message}`);
      response.writeHead(400).end();
      return;
    }
    const received = { id: String(request.headers['webhook-id']), text, body };
    this.requests.push(received);
    const earlier = this.#contents.get(received.id);
    if (earlier !== undefined && earlier !== text) this.violations.push(`${received.id} has two contents`);
    this.#contents.set(received.id, text);
    if (body.type === 'messages') this.#add(body);
    this.answer(received, response);
  }

  #add({ room, messages }: Extract<Body, { type: 'messages' }>): void {
    const all = this.messages.get(room) ?? [];
    this.messages.set(room, all);
    for (const message of messages) {
      const last = all.at(-1)?.seq;
      const known = last === undefined ? undefined : all[message.seq - (all[0]?.seq ?? 0)];
      if (known) {
        if (known.id !== message.id) this.violations.push(`${room}: ${message.seq} is another message`);
      } else if (last !== undefined && message.seq !== last + 1) {
        this.violations.push(`${room}: ${message.seq} after ${last}`);
      } else all.push(message);
    }
  }
}
