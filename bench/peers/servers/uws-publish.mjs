// A chat for everyone on uWebSockets.js alone: all are subscribed to one topic, to which what comes is published.
import { App } from 'uWebSockets.js';

const app = App();

app.ws('/*', {
  open: (socket) => void socket.subscribe('chat'),
  message: (_socket, message, isBinary) => void app.publish('chat', message, isBinary),
});

app.listen('127.0.0.1', Number(process.env.PORT), (token) => {
  if (!token) process.exit(1);
});
