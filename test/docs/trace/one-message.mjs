// Sends one message through the built server, from one client to another, and prints its calls.
import WebSocket from 'ws';
import { createServer } from '../../../dist/index.js';

const server = await createServer({ port: 0, drainWindow: 0 });
const [sender, receiver] = [await joined('ada'), await joined('bob')];
globalThis.calls = [];
sender.send(JSON.stringify({ t: 'send', room: 'lobby', id: 'a1', data: { text: 'hello' } }));
await next(receiver, 'message');
const { calls } = globalThis;
globalThis.calls = undefined;
console.log(JSON.stringify(calls));
sender.terminate();
receiver.terminate();
await server.stop();

async function joined(user) {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws?user=${user}&room=lobby`, 'pumphouse.v1');
  await next(socket, 'joined');
  await new Promise((resolve) => setTimeout(resolve, 50)); // its presence has been announced
  return socket;
}

function next(socket, type) {
  return new Promise((resolve) => {
    socket.on('message', (frame) => {
      if (String(frame).includes(`"t":"${type}"`)) resolve();
    });
  });
}
