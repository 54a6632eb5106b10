// A one-room chat on Socket.IO over uWebSockets.js, attached as Socket.IO's documentation does.

import { App } from 'uWebSockets.js';
import { Server } from 'socket.io';

const app = App();
const io = new Server();
io.attachApp(app);

io.on('connection', (socket) => {
  socket.on('message', (text) => io.emit('message', text));
});

app.listen('127.0.0.1', Number(process.env.PORT), (token) => {
  if (!token) process.exit(1);
});
