// Sends one message through the built server, from one client to another, and prints its calls.
import WebSocket from 'ws';
import { createServer } from '../../../dist/index.js';

const server = await createServer({ port: 0, drainWindow: 0 });
const [sender, receiver] = [await joined('ada'), await joined('bob')];
await deliver('a0'); // a client's first message makes its token bucket
globalThis.calls = [];
await deliver('a1');
const { calls } = globalThis;
globalThis.calls = undefined;
console.log(JSON.stringify(calls));
sender.terminate();
receiver.terminate();
await server.stop();

/** Sends a message, and waits until the other client receives it. */
async function deliver(id) {
  const received = next(receiver, `"id":"${id}"`);
  sender.send(JSON.stringify({ t: 'send', room: 'lobby', id, data: { text: 'hello' } }));
  await received;
}

async function joined(user) {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws?user=${user}&room=lobby`, 'pumphouse.v1');
  await next(socket, '"t":"joined"');
  await new Promise((resolve) => setTimeout(resolve, 50)); // its presence has been announced
  return socket;
}

/** Waits for a frame that contains the text. */
function next(socket, text) {
  return new Promise((resolve) => {
    socket.on('message', (frame) => {
      if (String(frame).includes(text)) resolve();
    });
  });
}
