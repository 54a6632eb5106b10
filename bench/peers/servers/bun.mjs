// A chat for everyone on Bun, with the topics of its server.
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  fetch(request, server) {
    if (server.upgrade(request)) return;
    return new Response('There is a WebSocket here.', { status: 426 });
  },
  websocket: {
    open: (socket) => void socket.subscribe('chat'),
    message: (_socket, message) => void server.publish('chat', message),
  },
});
