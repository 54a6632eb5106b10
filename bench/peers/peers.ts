import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startCluster } from '../cluster.ts';
import { type Contestant, serverOf } from '../contestant.ts';
import type { WireName } from '../wires/index.ts';
import { startProgram } from './program.ts';

/**
 * Another server, running a chat written as its own documentation does it, or the theoretical
 * floor.
 */
export interface Peer {
  readonly contestant: Contestant;
  /** Installs or builds the server. @throws Error with the reason if that is not possible. */
  prepare(): void;
}

// The folder in the checkout, from the sources or from the build.
const BUILT = import.meta.url.endsWith('.js');
const BENCH = fileURLToPath(new URL(BUILT ? '../../../bench/' : '..', import.meta.url));
const FOLDER = join(BENCH, 'peers');
const PROGRAMS = join(FOLDER, 'build');
const GO_PACKAGES = ['golang-go', 'golang-github-gorilla-websocket-dev'];

const inNode = (name: string, file: string, wire: WireName = 'gorilla'): Peer => ({
  contestant: contestant(name, wire, () => [process.execPath, join(FOLDER, 'servers', file)]),
  prepare: install,
});

const buildLimit = () =>
  build('limit', join(BENCH, 'limit', 'limit.c'), (from, to) => run('cc', ['-O2', '-o', to, from]));

/** The theoretical floor: a minimal server in C. */
export const limit: Peer = {
  contestant: contestant('limit', 'gorilla', (port) => [join(PROGRAMS, 'limit'), String(port)]),
  prepare: buildLimit,
};

/** The floor with one frame per message, which costs the receiver more. */
export const limitWithFrames: Peer = {
  contestant: contestant('limit in frames', 'gorilla', (port) => [join(PROGRAMS, 'limit'), String(port), '--frames']),
  prepare: buildLimit,
};

export const ws: Peer = { ...inNode('ws', 'ws.mjs'), prepare: requireCheckout };

/** All servers to compare with. `ws` needs no installation: Pumphouse depends on it. */
export const peers: readonly Peer[] = [
  ws,
  inNode('socket.io', 'socket-io.mjs', 'socket.io'),
  inNode('socket.io on uws', 'socket-io-uws.mjs', 'socket.io'),
  inNode('uws publish', 'uws-publish.mjs'),
  {
    contestant: contestant('bun', 'gorilla', () => [bun(), join(FOLDER, 'servers', 'bun.mjs')]),
    prepare() {
      install();
      bun();
    },
  },
  {
    contestant: contestant('go gorilla', 'gorilla', () => [join(PROGRAMS, 'gorilla')]),
    prepare: () => build('gorilla', join(FOLDER, 'servers', 'gorilla.go'), buildGo),
  },
  limit,
  onRedis('socket.io pub/sub', 'socket-io-redis.mjs'),
  onRedis('socket.io streams', 'socket-io-redis-streams.mjs'),
];

function contestant(name: string, wire: WireName, command: (port: number) => readonly string[]): Contestant {
  return { name, wire, topology: 'single', start: async () => serverOf(await startProgram(command)) };
}

/**
 * Several nodes of Socket.IO. Its adapters promise no order across nodes: each delivers the
 * messages of its own clients without the others.
 */
function onRedis(name: string, file: string): Peer {
  const command = () => [process.execPath, join(FOLDER, 'servers', file)];
  return {
    contestant: {
      name,
      wire: 'socket.io-rooms',
      topology: 'cluster',
      promisesOrder: false,
      start: (_scenario, load) => startCluster(load, (redisUrl) => startProgram(command, { REDIS_URL: redisUrl })),
    },
    prepare: install,
  };
}

/** The package does not contain the other servers. */
function requireCheckout(): void {
  if (!existsSync(FOLDER)) throw new Error('it requires a checkout of the repository');
}

/** Installs the dependencies into bench/peers unless they are up to date. */
function install(): void {
  requireCheckout();
  const [manifest, installed] = [join(FOLDER, 'package.json'), join(FOLDER, 'node_modules', '.package-lock.json')];
  if (existsSync(installed) && statSync(installed).mtimeMs > statSync(manifest).mtimeMs) return;
  run('npm', ['install', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], FOLDER);
}

/** Finds the binary of Bun, whose package would otherwise link it in an install script. */
function bun(): string {
  const require = createRequire(join(FOLDER, 'package.json'));
  const { platform, arch } = process;
  return require.resolve(
    `@oven/bun-${platform === 'win32' ? 'windows' : platform}-${arch === 'arm64' ? 'aarch64' : arch}/bin/bun`,
  );
}

function build(name: string, from: string, compile: (from: string, to: string) => void): void {
  requireCheckout();
  const to = join(PROGRAMS, name);
  if (existsSync(to) && statSync(to).mtimeMs > statSync(from).mtimeMs) return;
  mkdirSync(PROGRAMS, { recursive: true });
  compile(from, to);
}

/** Builds with Debian's compiler and library, and installs them if running as root. */
function buildGo(from: string, to: string): void {
  const library = '/usr/share/gocode/src/github.com/gorilla/websocket';
  if (!existsSync(library) || !has('go')) {
    if (process.getuid?.() !== 0 || !has('apt-get')) {
      throw new Error(`it needs the Debian packages ${GO_PACKAGES.join(' and ')}`);
    }
    run('apt-get', ['install', '-y', '--no-install-recommends', ...GO_PACKAGES]);
  }
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode' };
  execFileSync('go', ['build', '-o', to, from], { env, stdio: ['ignore', 'ignore', 'inherit'] });
}

function has(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function run(program: string, args: readonly string[], cwd?: string): void {
  if (!has(program)) throw new Error(`${program} is not installed`);
  execFileSync(program, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
}
