import { once } from 'node:events';
import { createServer as createHttpServer, request } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type RawData, WebSocket, WebSocketServer } from 'ws';

/** Something between a client and a server. */
export interface Middle {
  readonly url: string;
  stop(): void;
}

async function listen(server: Server): Promise<Middle> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, stop };
}

/** Forwards what a server sends only at some times, as a buffer does. @param ms between them. */
export function lumpyProxy(port: number, ms: number): Promise<Middle> {
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    let held: Buffer[] = [];
    const timer = setInterval(() => client.write(Buffer.concat(held.splice(0))), ms);
    // The handshake passes at once, as it does where only the stream behind it is buffered.
    upstream.once('data', (data) => {
      client.write(data);
      upstream.on('data', (more) => held.push(more));
    });
    upstream
      .on('error', () => client.destroy())
      .once('close', () => {
        clearInterval(timer);
        client.end(Buffer.concat(held));
        held = [];
      });
    client.pipe(upstream).on('error', () => {});
    client.once('close', () => upstream.destroy());
  });
  return listen(server);
}

/** Forwards everything late. @param ms in each direction. */
export function slowProxy(port: number, ms: number): Promise<Middle> {
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    const pipe = (from: Socket, to: Socket) => {
      from.on('data', (data) => setTimeout(() => to.writable && to.write(data), ms));
      from.once('close', () => setTimeout(() => to.destroy(), ms));
    };
    upstream.on('error', () => {});
    pipe(client, upstream);
    pipe(upstream, client);
  });
  return listen(server);
}

/** Ends WebSockets itself: close codes of the server do not pass. */
export function swallowingProxy(port: number): Promise<Middle> {
  const server = createHttpServer((incoming, outgoing) => {
    const { method, url, headers } = incoming;
    const upstream = request({ host: '127.0.0.1', port, method, path: url, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    });
    upstream.on('error', () => outgoing.destroy());
    outgoing.once('close', () => upstream.destroy());
    incoming.pipe(upstream);
  });
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'pumphouse.v1' });
  server.on('upgrade', (incoming, socket, head) => {
    sockets.handleUpgrade(incoming, socket, head, (client) => {
      const { host = '', origin } = incoming.headers;
      const options = { headers: { host, ...(origin !== undefined && { origin }) } };
      const upstream = new WebSocket(`ws://127.0.0.1:${port}${incoming.url}`, ['pumphouse.v1'], options);
      const early: [RawData, boolean][] = [];
      client.on('message', (data, binary) => {
        if (upstream.readyState === WebSocket.OPEN) upstream.send(data, { binary });
        else early.push([data, binary]);
      });
      upstream.once('open', () => {
        for (const [data, binary] of early) upstream.send(data, { binary });
      });
      upstream.on('message', (data, binary) => client.send(data, { binary }));
      upstream.on('error', () => {}).once('close', () => client.terminate());
      client.on('error', () => {}).once('close', () => upstream.terminate());
    });
  });
  return listen(server);
}

/** Accepts connections and answers nothing. */
export function silentServer(): Promise<Middle> {
  return listen(createServer());
}

/** Welcomes clients, and never pings them. */
export function pinglessServer(): Promise<Middle> {
  const server = createHttpServer((_, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({ server, handleProtocols: () => 'pumphouse.v1' });
  sockets.on('connection', (socket) => {
    const limits = { message: 16_384, roomName: 128, rooms: 128, history: 1_000 };
    socket.send(JSON.stringify({ t: 'welcome', session: 's', user: 'ada', resume: 'r', limits, heartbeat: 0.5 }));
    socket.on('message', (data) => {
      if (String(data).includes('"ping"')) socket.send('{"t":"pong"}');
    });
  });
  return listen(server);
}
