// A one-room chat on uWebSockets.js alone: all sockets subscribe to one topic, and each message is
// published to it.
import { App } from 'uWebSockets.js';

const app = App();

app.ws('/*', {
  open: (socket) => void socket.subscribe('chat'),
  message: (_socket, message, isBinary) => void app.publish('chat', message, isBinary),
});

app.listen('127.0.0.1', Number(process.env.PORT), (token) => {
  if (!token) process.exit(1);
});
