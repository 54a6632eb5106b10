// A chat with rooms on Socket.IO, as one of several nodes that share a Redis stream. The adapter is
// set up as its README does it.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-streams-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const redisClient = createClient({ url: process.env.REDIS_URL });
redisClient.on('error', console.error);
await redisClient.connect();

const server = createServer();
const io = new Server(server, { adapter: createAdapter(redisClient) });

io.on('connection', (socket) => {
  const { room } = socket.handshake.auth;
  socket.join(room);
  socket.on('message', (text) => io.to(room).emit('message', text));
});

server.listen(Number(process.env.PORT), '127.0.0.1');
