// A one-room chat on Socket.IO, which emits to all sockets as its tutorial does.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const server = createServer();
const io = new Server(server);

io.on('connection', (socket) => {
  socket.on('message', (text) => io.emit('message', text));
});

server.listen(Number(process.env.PORT), '127.0.0.1');
