// Pumphouse on a plain HTTP server of Node: the program keeps its routes, the chat has the rest.
//   node --import tsx examples/with-http.ts
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'pumphouse';

const server = createHttpServer();
const pumphouse = await createServer({ server, logLevel: 'info' });

server.on('request', (request, response) => {
  if (request.url === '/hello') response.end('hello from the program\n');
  else pumphouse.handler(request, response);
});
server.listen(Number(process.env['PORT'] ?? 8080), '127.0.0.1', () => {
  console.log(`listening on ${pumphouse.url}`);
});

process.on('SIGTERM', async () => {
  await pumphouse.stop();
  server.close();
});
