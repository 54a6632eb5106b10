// A one-room chat on Bun's own server and its topics.
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  fetch(request, server) {
    if (server.upgrade(request)) return;
    return new Response('Upgrade to WebSocket required.', { status: 426 });
  },
  websocket: {
    open: (socket) => void socket.subscribe('chat'),
    message: (_socket, message) => void server.publish('chat', message),
  },
});
