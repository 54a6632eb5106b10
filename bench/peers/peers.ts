import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Contestant } from '../contestant.ts';
import type { DialectName } from '../dialects/index.ts';
import { startProgram } from './program.ts';

/** A server that others have written, or the limit: each the way its own documentation would write this chat. */
export interface Peer {
  readonly contestant: Contestant;
  /** Sees that everything is there that it needs. @throws Error that says what is not. */
  prepare(): void;
}

// In a checkout, whether this runs as it was written or as it was built.
const BUILT = import.meta.url.endsWith('.js');
const BENCH = fileURLToPath(new URL(BUILT ? '../../../bench/' : '..', import.meta.url));
const FOLDER = join(BENCH, 'peers');
const PROGRAMS = join(FOLDER, 'build');
const GO_PACKAGES = ['golang-go', 'golang-github-gorilla-websocket-dev'];

const inNode = (name: string, file: string, wire: DialectName = 'gorilla'): Peer => ({
  contestant: contestant(name, wire, () => [process.execPath, join(FOLDER, 'servers', file)]),
  prepare: install,
});

const buildLimit = () =>
  build('limit', join(BENCH, 'limit', 'limit.c'), (from, to) => run('cc', ['-O2', '-o', to, from]));

/** The least that the job can cost, in C. */
export const limit: Peer = {
  contestant: contestant('limit', 'gorilla', (port) => [join(PROGRAMS, 'limit'), String(port)]),
  prepare: buildLimit,
};

/** The same with a frame for each message, for who must take them in. */
export const limitInFrames: Peer = {
  contestant: contestant('limit in frames', 'gorilla', (port) => [join(PROGRAMS, 'limit'), String(port), '--frames']),
  prepare: buildLimit,
};

export const ws: Peer = { ...inNode('ws', 'ws.mjs'), prepare: checkout };

/** All of them; `ws` is there with the server's own dependencies. */
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
];

function contestant(name: string, wire: DialectName, command: (port: number) => readonly string[]): Contestant {
  return { name, wire, start: () => startProgram(command) };
}

/** They are no part of the package. */
function checkout(): void {
  if (!existsSync(FOLDER)) throw new Error('it is there in a checkout only');
}

/** Into its own folder, once. */
function install(): void {
  checkout();
  const [wanted, installed] = [join(FOLDER, 'package.json'), join(FOLDER, 'node_modules', '.package-lock.json')];
  if (existsSync(installed) && statSync(installed).mtimeMs > statSync(wanted).mtimeMs) return;
  run('npm', ['install', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], FOLDER);
}

/** Its package would put its binary in place by a script of its own; this finds it where npm left it. */
function bun(): string {
  const require = createRequire(join(FOLDER, 'package.json'));
  const { platform, arch } = process;
  return require.resolve(
    `@oven/bun-${platform === 'win32' ? 'windows' : platform}-${arch === 'arm64' ? 'aarch64' : arch}/bin/bun`,
  );
}

function build(name: string, from: string, compile: (from: string, to: string) => void): void {
  checkout();
  const to = join(PROGRAMS, name);
  if (existsSync(to) && statSync(to).mtimeMs > statSync(from).mtimeMs) return;
  mkdirSync(PROGRAMS, { recursive: true });
  compile(from, to);
}

/** With Debian's compiler and library, which are installed where that can be done. */
function buildGo(from: string, to: string): void {
  const library = '/usr/share/gocode/src/github.com/gorilla/websocket';
  if (!existsSync(library) || !has('go')) {
    if (process.getuid?.() !== 0 || !has('apt-get')) throw new Error(`it needs Debian's ${GO_PACKAGES.join(' and ')}`);
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
  if (!has(program)) throw new Error(`there is no ${program} here`);
  execFileSync(program, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
}
