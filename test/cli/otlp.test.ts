import { hostname } from 'node:os';
import { expect, onTestFinished, test } from 'vitest';
import { sharedPortProblem } from '../../src/config/shared-ports.ts';
import { Peer } from '../conformance/server.ts';
import { Collector, type Export, samplesOf } from '../observe/collector.ts';
import { Running, serving } from './command.ts';

const able = sharedPortProblem('uws') === undefined;

test.each([[[]], ...(able ? [[['--workers', '2']]] : [])])('exports the metrics of a server with %j', async (flags) => {
  const collector = new Collector();
  onTestFinished(() => collector.close());
  const url = await collector.listen();
  const env = { OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20secret' };
  const { running, port } = await serving(['--otlp', url, ...flags], env);
  const peer = await Peer.connect(port, '?room=lobby');
  await peer.next('joined');
  peer.send({ t: 'send', room: 'lobby', id: '1', data: 1 });
  await peer.next('sent');
  expect((await running.end()).code).toBe(0);
  expect(collector.exports).toHaveLength(1);
  const { metrics, resource, headers } = collector.exports[0] as Export;
  expect(samplesOf(metrics)).toMatchObject({ pumphouse_connects_total: 1, pumphouse_messages_total: 1 });
  expect(resource['service.instance.id']).toBe(`${hostname()}:${port}`);
  expect(headers.authorization).toBe('Bearer secret');
});

test('names the packages to install', async () => {
  // Without the packages: their imports fail as they do there.
  const hide = `data:text/javascript,import{register}from'node:module';register(${encodeURIComponent(
    JSON.stringify(
      `data:text/javascript,${encodeURIComponent(
        `export const resolve=(name,context,next)=>{if(name.startsWith('@opentelemetry/'))throw Object.assign(new Error(name),{code:'ERR_MODULE_NOT_FOUND'});return next(name,context)}`,
      )}`,
    ),
  )})`;
  const program = ['--import', hide, 'dist/cli.js'];
  const args = ['serve', '--port', '0', '--engine', 'memory', '--otlp', 'http://127.0.0.1:1'];
  const { code, stderr } = await new Running(args, {}, program).ended;
  expect(stderr).toBe(
    'pumphouse: otlp: needs packages of OpenTelemetry: npm install @opentelemetry/api@1 @opentelemetry/sdk-metrics@2 @opentelemetry/exporter-metrics-otlp-http@0.223\n',
  );
  expect(code).toBe(2);
});
