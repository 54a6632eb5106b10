// A chat over plain TCP: the Hub with sockets that it has never heard of. Try it with two of: nc 127.0.0.1 7000
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

/** Lines of text: what goes into and comes out of gorilla's wire, with a newline at the end. TCP needs no pings. */
const lines: Wire = {
  ...gorilla({ pingPeriod: Number.POSITIVE_INFINITY, pongWait: Number.POSITIVE_INFINITY }),
  name: 'lines',
  encode(room, log, from, most) {
    const frame = gorilla().encode(room, log, from, most);
    return { ...frame, bytes: Buffer.concat([frame.bytes, Buffer.from('\n')]) };
  },
};

/** A TCP connection as the Hub's clients see a socket. */
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

  ping(): void {}

  cork(work: () => void): void {
    this.#tcp.cork();
    work();
    this.#tcp.uncork();
  }

  close({ code, reason }: Close): void {
    this.#tcp.end(`* closed: ${code} ${reason}\n`);
    this.#tcp.setTimeout(5_000, () => this.#tcp.destroy());
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
  let rest = Buffer.alloc(0);
  tcp.on('data', (data) => {
    rest = Buffer.concat([rest, data]);
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      client.message(rest.subarray(0, end), true);
      rest = rest.subarray(end + 1);
    }
    if (rest.length > lines.maxMessageSize) client.end(closes.messageTooBig);
  });
  tcp.on('drain', () => client.drain());
  tcp.on('error', () => tcp.destroy());
  tcp.on('close', () => client.close(closes.abnormal.code, ''));
});

server.listen(Number(process.env['PORT'] ?? 7000), '127.0.0.1', () => {
  const address = server.address();
  console.log(`listening on ${typeof address === 'object' ? address?.port : address}`);
});
