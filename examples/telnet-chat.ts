// A chat over plain TCP instead of WebSockets. Run it, then connect with: nc 127.0.0.1 7000
import { createServer, type Socket as TcpSocket } from 'node:net';
import {
  Client,
  type Close,
  closes,
  gorilla,
  Hub,
  Keepalive,
  memory,
  QUEUED,
  SENT,
  type SendStatus,
  type Socket,
  systemClock,
  systemScheduler,
  type Wire,
} from 'pumphouse';

/** Gorilla's wire with a newline after each frame. It sends no pings: netcat cannot answer them. */
const lines: Wire = {
  ...gorilla({ pingPeriod: Number.POSITIVE_INFINITY, pongWait: Number.POSITIVE_INFINITY }),
  name: 'lines',
  encode(room, log, from, maxBytes, epoch) {
    const frame = gorilla().encode(room, log, from, maxBytes, epoch);
    return { ...frame, bytes: Buffer.concat([frame.bytes, Buffer.from('\n')]) };
  },
};

/** Adapts a TCP connection to the `Socket` interface of a client. */
class LineSocket implements Socket {
  readonly remoteAddress: string;
  readonly #tcp: TcpSocket;

  constructor(tcp: TcpSocket) {
    this.#tcp = tcp;
    this.remoteAddress = tcp.remoteAddress ?? '';
  }

  get bufferedAmount(): number {
    return this.#tcp.writableLength;
  }

  send(frame: Uint8Array): SendStatus {
    return this.#tcp.write(frame) ? SENT : QUEUED;
  }

  ping(): void {} // TCP has no pings

  cork(work: () => void): void {
    this.#tcp.cork();
    work();
    this.#tcp.uncork();
  }

  close({ code, reason }: Close): void {
    this.#tcp.end(`* closed: ${code} ${reason}\n`);
    this.#tcp.setTimeout(5_000, () => this.#tcp.destroy()); // the peer may never close its side
  }
}

const hub = new Hub({ engine: memory() });
await hub.open();
const keepalive = new Keepalive(systemClock, systemScheduler);
const context = { hub, clock: systemClock, keepalive, publishRate: { perSecond: 20, burst: 40 } };

let clients = 0;
const server = createServer((tcp) => {
  const client = new Client(`tcp-${++clients}`, lines, context);
  client.open(new LineSocket(tcp));
  client.notify(`* hello ${client.id}, ${keepalive.clients.size} here\n`);
  client.pump.release();
  let buffered = Buffer.alloc(0); // the start of a line whose end has not arrived
  tcp.on('data', (data) => {
    buffered = Buffer.concat([buffered, data]);
    for (let end = buffered.indexOf('\n'); end >= 0; end = buffered.indexOf('\n')) {
      client.message(buffered.subarray(0, end), true);
      buffered = buffered.subarray(end + 1);
    }
    if (buffered.length > lines.maxMessageSize) client.end(closes.messageTooBig);
  });
  tcp.on('drain', () => client.drain());
  tcp.on('error', () => tcp.destroy());
  tcp.on('close', () => client.close(closes.abnormal.code, ''));
});

server.listen(Number(process.env['PORT'] ?? 7000), '127.0.0.1', () => {
  const address = server.address();
  console.log(`listening on ${typeof address === 'object' ? address?.port : address}`);
});
