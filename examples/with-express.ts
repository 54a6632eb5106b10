// Pumphouse in an Express app: the app keeps its routes, the chat has the rest.
//   node --import tsx examples/with-express.ts
import { createServer as createHttpServer } from 'node:http';
import express from 'express';
import { createServer } from 'pumphouse';

const app = express();
const server = createHttpServer(app);
const pumphouse = await createServer({ server, logLevel: 'info' });

app.get('/hello', (_, response) => {
  response.send('hello from Express\n');
});
app.use(pumphouse.handler); // behind the app's routes: what it does not serve is a 404 of Express
server.listen(Number(process.env['PORT'] ?? 8080), '127.0.0.1', () => {
  console.log(`listening on ${pumphouse.url}`);
});

process.on('SIGTERM', async () => {
  await pumphouse.stop();
  server.close();
});
