import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { freePort } from '../../bench/free-port.ts';
import { load } from '../../src/config/load.ts';
import { selectRelease } from '../../src/transport/uws-release.ts';
import { startServer } from '../server.ts';
import { imageOf, readContainerFile, variablesOf } from './container-file.ts';

/** The version of glibc in each release of Debian. */
const GLIBC: Record<string, [number, number]> = { bookworm: [2, 36], trixie: [2, 41] };
/** Seconds after which "docker stop" kills. */
const DOCKER_STOP = 10;
/** Seconds that a node may need, besides its drain window. */
const MARGIN = 2;

// biome-ignore lint/suspicious/noExplicitAny: the tests check the shape of these documents.
type Document = any;

function documentsOf(path: string): Document[] {
  return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    expect([...document.errors, ...document.warnings]).toEqual([]);
    return document.toJS({ maxAliasCount: 10 });
  });
}

/** The settings of `serve` with these variables. Throws for unknown and invalid ones. */
function settingsWith(env: Record<string, string>) {
  return load({ flags: {}, env, readFile: () => '{}', exists: () => true }).settings;
}

/** The seconds of a duration such as `15s`. */
const seconds = (duration: string) => Number(/^(\d+)s$/.exec(duration)?.[1]);

const containerFile = readContainerFile('deploy/Dockerfile');
const image = imageOf(containerFile);
const imageVariables = variablesOf(image.get('ENV') ?? '');
const imageSettings = settingsWith(imageVariables);
const compose = documentsOf('deploy/compose.yaml')[0];
const twoNodes = documentsOf('deploy/compose.two-nodes.yaml')[0];
const manifests = {
  single: documentsOf('deploy/kubernetes/single-node.yaml'),
  several: documentsOf('deploy/kubernetes/several-nodes.yaml'),
};
const kind = (documents: readonly Document[], name: string) => documents.find((document) => document.kind === name);

test('the base of the image has a binary of uWebSockets.js', () => {
  const base = containerFile.find(({ name }) => name === 'ARG')?.text ?? '';
  const [, node, release = ''] = /node:(\d+)-(\w+)-slim$/.exec(base) ?? [];
  expect(selectRelease('linux', Number(node), GLIBC[release])).toMatchObject({ kind: 'available' });
  const bases = containerFile.filter(({ name }) => name === 'FROM').map(({ text }) => text.split(' ')[0]);
  expect(new Set(bases)).toEqual(new Set([`\${BASE}`]));
});

test('the image runs node as a user other than root, without a shell', () => {
  expect(image.get('USER')).toBe('1000:1000');
  expect(JSON.parse(image.get('ENTRYPOINT') ?? '')).toEqual(['node', '/app/dist/cli.js']);
  expect(JSON.parse(image.get('CMD') ?? '')).toEqual(['serve']);
  expect(image.get('STOPSIGNAL')).toBe('SIGTERM');
  expect(image.get('VOLUME')).toBe(imageSettings.data);
  expect(image.get('EXPOSE')).toBe(String(imageSettings.port));
});

test('the Dockerfile copies only what exists', () => {
  const copied = containerFile
    .filter(({ name, text }) => name === 'COPY' && !text.startsWith('--from'))
    .flatMap(({ text }) => text.split(' ').slice(0, -1));
  expect(copied.filter((path) => !existsSync(path))).toEqual([]);
});

test('the health check of the image succeeds while the server is alive', async () => {
  const [, command = ''] = /CMD (\[.*\])$/.exec(image.get('HEALTHCHECK') ?? '') ?? [];
  const [program, ...args] = JSON.parse(command) as string[];
  expect(program).toBe('node');
  const check = async (port: number) => {
    const child = spawn(process.execPath, args, { env: { PUMPHOUSE_PORT: String(port) }, stdio: 'inherit' });
    return (await once(child, 'exit'))[0];
  };
  const server = await startServer();
  onTestFinished(() => server.kill());
  expect(await check(server.port)).toBe(0);
  expect(await check(await freePort())).toBe(1);
});

test('the drain fits into the time before each kill', () => {
  const drain = imageSettings.drainWindow;
  expect(drain + MARGIN).toBeLessThanOrEqual(DOCKER_STOP);
  expect(seconds(compose.services.pumphouse.stop_grace_period)).toBeGreaterThanOrEqual(drain + MARGIN);
  for (const documents of Object.values(manifests)) {
    const pod = (kind(documents, 'StatefulSet') ?? kind(documents, 'Deployment')).spec.template.spec;
    const [container] = pod.containers;
    const window = container.env.find(({ name }: Document) => name === 'PUMPHOUSE_DRAIN_WINDOW').value;
    const [, delay = '0'] = container.lifecycle?.preStop.exec.command ?? [];
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(Number(delay) + Number(window) + MARGIN);
  }
});

test('the settings of Compose are valid, and Caddy is the proxy that the nodes trust', () => {
  for (const service of [compose.services.pumphouse, twoNodes.services.pumphouse, twoNodes.services['pumphouse-2']]) {
    const { trustProxy } = settingsWith({ ...imageVariables, ...service.environment });
    expect(trustProxy).toEqual([compose.services.caddy.networks.inner.ipv4_address]);
  }
  expect(settingsWith({ ...imageVariables, ...twoNodes.services['pumphouse-2'].environment }).engine).toBe('redis');
  const nodes = twoNodes.services.caddy.environment.PUMPHOUSE_NODES.split(' ');
  expect(nodes).toEqual(['pumphouse:8080', 'pumphouse-2:8080']);
  expect(documentsOf('deploy/prometheus.two-nodes.yml')[0].scrape_configs[0].static_configs[0].targets).toEqual(nodes);
});

test('the services of Compose have no privileges', () => {
  const services = { ...compose.services, redis: twoNodes.services.redis };
  expect(Object.keys(services)).toEqual(['pumphouse', 'caddy', 'prometheus', 'redis']);
  for (const service of Object.values<Document>(services)) {
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
  }
});

test('the files that Compose mounts exist', () => {
  const services = [...Object.values<Document>(compose.services), ...Object.values<Document>(twoNodes.services)];
  const mounted = services
    .flatMap(({ volumes = [] }) => volumes as string[])
    .filter((volume) => volume.startsWith('./'))
    .map((volume) => `deploy/${volume.split(':')[0]}`);
  expect(mounted.length).toBe(4);
  expect(mounted.filter((path) => !existsSync(path))).toEqual([]);
});

test.each([
  ['single', 'StatefulSet'],
  ['several', 'Deployment'],
] as const)('the pods of %s nodes are restricted and probed', (file, workload) => {
  const documents = manifests[file];
  const { spec } = kind(documents, workload);
  const pod = spec.template.spec;
  const [container] = pod.containers;
  expect(pod).toMatchObject({
    enableServiceLinks: false,
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
  });
  expect(container).toMatchObject({
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    startupProbe: { httpGet: { path: '/livez', port: 'http' } },
    livenessProbe: { httpGet: { path: '/livez', port: 'http' } },
    readinessProbe: { httpGet: { path: '/readyz', port: 'http' } },
    ports: [{ name: 'http', containerPort: imageSettings.port }],
  });
  const entries = container.env.map(({ name, value }: Document) => [name, value ?? 'redis://from-secret']);
  const { engine } = settingsWith({ ...imageVariables, ...Object.fromEntries(entries) });
  expect(engine).toBe(file === 'single' ? 'lmdb' : 'redis');
});

test.each(['single', 'several'] as const)('the selectors of %s nodes match their pods', (file) => {
  const documents = manifests[file];
  const { spec } = kind(documents, 'StatefulSet') ?? kind(documents, 'Deployment');
  const { labels } = spec.template.metadata;
  const selectors = documents.map((document) => document.spec.selector.matchLabels ?? document.spec.selector);
  for (const selector of selectors) expect(labels).toMatchObject(selector);
  expect(kind(documents, 'Service').spec.ports[0].targetPort).toBe('http');
});

test('one node has a volume, several have a disruption budget', () => {
  const { spec } = kind(manifests.single, 'StatefulSet');
  expect(spec.replicas).toBe(1);
  expect(spec.template.spec.containers[0].volumeMounts).toEqual([
    { name: spec.volumeClaimTemplates[0].metadata.name, mountPath: imageSettings.data },
  ]);
  expect(kind(manifests.single, 'PodDisruptionBudget')).toBeUndefined();
  expect(kind(manifests.several, 'PodDisruptionBudget').spec.maxUnavailable).toBe(1);
  expect(kind(manifests.several, 'Deployment').spec.replicas).toBeGreaterThan(1);
});

test('docs/deployment.md has each file of deploy/, and names only files that exist', () => {
  const text = readFileSync('docs/deployment.md', 'utf8');
  const named = text.match(/(?<=`)(?:deploy|test|docs)\/[\w./-]*/g) ?? [];
  expect(named.filter((path) => !existsSync(path))).toEqual([]);
  const files = readdirSync('deploy', { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map(({ parentPath, name }) => `${parentPath}/${name}`);
  expect(paths.filter((path) => !text.includes(`| \`${path}\` `))).toEqual([]);
});
