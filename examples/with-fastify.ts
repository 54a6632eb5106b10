// Pumphouse in a Fastify app: the app keeps its routes, the chat has the rest.
//   node --import tsx examples/with-fastify.ts
import fastify from 'fastify';
import { createServer } from 'pumphouse';

const app = fastify();
const pumphouse = await createServer({ server: app.server, logLevel: 'info' });

app.get('/hello', () => 'hello from Fastify\n');
app.register(async (scope) => {
  // Pumphouse reads the bodies itself, of any content type.
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
  scope.all('/*', (request, reply) => {
    reply.hijack();
    pumphouse.handler(request.raw, reply.raw);
  });
});
app.addHook('preClose', () => pumphouse.stop());
await app.listen({ port: Number(process.env['PORT'] ?? 8080), host: '127.0.0.1' });
console.log(`listening on ${pumphouse.url}`);

process.on('SIGTERM', () => app.close());
