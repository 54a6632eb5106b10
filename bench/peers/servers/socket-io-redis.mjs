// A chat with rooms on Socket.IO, as one of several nodes that share Redis' pub/sub. The adapter is
// set up as its README does it.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const pubClient = createClient({ url: process.env.REDIS_URL });
const subClient = pubClient.duplicate();
for (const client of [pubClient, subClient]) client.on('error', console.error);
await Promise.all([pubClient.connect(), subClient.connect()]);

const server = createServer();
const io = new Server(server, { adapter: createAdapter(pubClient, subClient) });

io.on('connection', (socket) => {
  const { room } = socket.handshake.auth;
  socket.join(room);
  socket.on('message', (text) => io.to(room).emit('message', text));
});

server.listen(Number(process.env.PORT), '127.0.0.1');
