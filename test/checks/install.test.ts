import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { createServer, type Server } from 'pumphouse';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const SOURCES = ['bench', 'src', 'web', 'CHANGELOG.md', 'LICENSE', 'README.md', 'package.json', '.npmrc'];
const CONFIGS = ['tsconfig.json', 'tsconfig.build.json'];
const BUILT = new Set(['build', 'dist', 'node_modules', 'out', 'results']);

const folder = mkdtempSync(join(tmpdir(), 'pumphouse-install-'));
const checkout = join(folder, 'checkout');
const packages = join(folder, 'packages');
const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const snippet = /```js\n(.*?)```/s.exec(readFileSync('README.md', 'utf8'))?.[1] as string;

/** The environment of a shell, without what `npm test` adds to it. */
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS|VITEST)/i.test(name)),
);

const npm = (cwd: string, ...args: string[]) =>
  execFileSync('npm', [...args, '--silent'], { cwd, env, encoding: 'utf8' });
const node = (cwd: string, ...args: string[]) => spawnSync(process.execPath, args, { cwd, env, encoding: 'utf8' });

/** Installs a packed package in an empty folder as npx does, preferably from npm's cache. */
function install(name: string, into = name): string {
  const cwd = join(folder, into);
  mkdirSync(cwd);
  writeFileSync(join(cwd, 'package.json'), '{ "private": true }');
  npm(cwd, 'install', '--prefer-offline', '--no-audit', '--no-fund', join(packages, `${name}-${version}.tgz`));
  return cwd;
}

/** The names of the installed packages. */
function installed(cwd: string): string[] {
  const lock = JSON.parse(readFileSync(join(cwd, 'node_modules/.package-lock.json'), 'utf8'));
  return Object.keys(lock.packages).map((path) => path.replace(/^.*node_modules\//, ''));
}

/** Waits until a server listens. @returns its URL. */
async function urlOf({ stdout }: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: stdout as NodeJS.ReadableStream })) {
    const url = /serves (http:[^\s"]+)/.exec(line)?.[1];
    if (url) return url;
  }
  throw new Error('the server ended before it listened');
}

/** Runs the README's six lines as a program, and resolves to its first lines of output. */
async function runSnippet(cwd: string, url: string, name: string): Promise<string[]> {
  const code = snippet.replace('http://localhost:8080', url).replace('pumphouse/client', name);
  writeFileSync(join(cwd, 'chat.mjs'), code);
  const client = spawn(process.execPath, ['chat.mjs'], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  for await (const line of createInterface({ input: client.stdout })) {
    if (lines.push(line) === 4) break;
  }
  client.kill();
  return lines.toSorted();
}

/** Runs `npx pumphouse`. @returns milliseconds until its page is served, with those before. */
async function measureNpx(cwd: string, installedIn: number): Promise<number> {
  const started = performance.now();
  const npx = spawn('npx', ['pumphouse'], {
    cwd,
    env: { ...env, PUMPHOUSE_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  try {
    expect(await (await fetch(await urlOf(npx))).text()).toContain('<title>');
    const ms = installedIn + performance.now() - started;
    console.log(`npx pumphouse: ${Math.round(ms)} ms, of which the installation took ${Math.round(installedIn)} ms`);
    return ms;
  } finally {
    process.kill(-(npx.pid as number)); // npx, its shell and the server
  }
}

const MINUTE = 60_000; // milliseconds
const NPX_MS = 15_000;
const SNIPPET_OUTPUT = ['1 ada hello', 'connecting', 'live', 'stored as 1'];

// The checkout is as `npm install && npm start` leaves it: only the chat is built.
beforeAll(() => {
  mkdirSync(packages);
  for (const path of [...SOURCES, ...CONFIGS]) {
    cpSync(path, join(checkout, path), { recursive: true, filter: (source) => !BUILT.has(basename(source)) });
  }
  symlinkSync(resolve('node_modules'), join(checkout, 'node_modules'));
  mkdirSync(join(checkout, 'dist/web'), { recursive: true });
  writeFileSync(join(checkout, 'dist/web/index.html'), 'an old build');
  npm(checkout, 'pack', '--workspaces', '--include-workspace-root', '--pack-destination', packages);
}, 5 * MINUTE);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('pumphouse', { timeout: MINUTE }, () => {
  let cwd: string;
  let server: ChildProcess | undefined;
  let installedIn: number; // milliseconds
  beforeAll(() => {
    const started = performance.now();
    cwd = install('pumphouse');
    installedIn = performance.now() - started;
  }, 5 * MINUTE);
  afterAll(() => {
    server?.kill();
  });

  test('installs the command, the server, the chat and the client', async () => {
    const cli = join(cwd, 'node_modules/.bin/pumphouse');
    server = spawn(cli, ['serve', '--port', '0', '--engine', 'memory'], {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const url = await urlOf(server);
    expect(await (await fetch(url)).text()).toContain('<title>');
    expect(await runSnippet(cwd, url, 'pumphouse/client')).toEqual(SNIPPET_OUTPUT);
    const use = "import { createServer } from 'pumphouse'; const s = await createServer({ port: 0 }); await s.stop();";
    expect(node(cwd, '--input-type=module', '-e', use)).toMatchObject({ status: 0, stderr: '' });
  });

  test('serves the chat with npx pumphouse, within 15 seconds from an empty folder', {
    timeout: 3 * MINUTE,
  }, async () => {
    let ms = await measureNpx(cwd, installedIn);
    // Another program may have slowed down the machine.
    for (let attempt = 2; attempt <= 3 && ms >= NPX_MS; attempt++) {
      const started = performance.now();
      const again = install('pumphouse', `pumphouse-${attempt}`);
      ms = Math.min(ms, await measureNpx(again, performance.now() - started));
    }
    expect(ms).toBeLessThan(NPX_MS);
  });

  test('installs none of the optional packages', () => {
    const optional = ['selfsigned', 'pino-pretty', 'vega', 'vega-lite'];
    expect(installed(cwd).filter((name) => optional.includes(name))).toEqual([]);
    expect(installed(cwd).length).toBeLessThan(45);
  });

  test('names the optional package that a command needs, in one line', () => {
    const cli = join(cwd, 'node_modules/pumphouse/dist/cli.js');
    expect(node(cwd, cli, 'gen-cert')).toMatchObject({
      status: 2,
      stdout: '',
      stderr: 'pumphouse: gen-cert needs the package selfsigned: npm install selfsigned@5\n',
    });
    const report = node(cwd, cli, 'bench', 'chat', '--quick', '--report', 'report.html');
    expect(report.stderr).toContain('npm install vega@6 vega-lite@6');
  });
});

describe('pumphouse-client', { timeout: MINUTE }, () => {
  let cwd: string;
  let server: Server;
  beforeAll(async () => {
    cwd = install('pumphouse-client');
    server = await createServer({ port: 0, drainWindow: 0 });
  }, 5 * MINUTE);
  afterAll(() => server?.stop());

  test('installs one package, with the licences, the types and a source map', () => {
    expect(installed(cwd)).toEqual(['pumphouse-client']);
    const contents = readdirSync(join(cwd, 'node_modules/pumphouse-client'), { recursive: true });
    expect(contents).toEqual(expect.arrayContaining(['LICENSE', 'NOTICE', 'README.md', 'dist/index.js.map']));
    expect(readFileSync('web/sdk/LICENSE', 'utf8')).toBe(readFileSync('LICENSE', 'utf8'));
  });

  test('has types that need no other package', () => {
    writeFileSync(
      join(cwd, 'types.ts'),
      "import { connect } from 'pumphouse-client';\nconnect('http://h').join<number>('r');\n",
    );
    const compilerOptions = { noEmit: true, strict: true, module: 'nodenext', types: [] };
    writeFileSync(join(cwd, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['types.ts'] }));
    const tsc = node(cwd, resolve('node_modules/typescript/bin/tsc'));
    expect(tsc).toMatchObject({ status: 0, stdout: '' });
  });

  test('prints its error and a readable stack', () => {
    const code = "import { connect } from 'pumphouse-client'; connect('http://h', { user: '' });";
    const { stderr } = node(cwd, '--input-type=module', '-e', code);
    expect(stderr).toContain('TypeError: the user name must be 1 to 64 bytes');
    expect(stderr).toMatch(/at connect \(.*pumphouse-client\/dist\/index\.js:\d+:\d+\)/);
    expect(stderr.length).toBeLessThan(1_500);
    const mapped = node(cwd, '--enable-source-maps', '--input-type=module', '-e', code);
    expect(mapped.stderr).toMatch(/at connect \(.*index\.ts:\d+:\d+\)/);
  });

  test('names the package ws where the platform has no WebSocket, and uses it once it is installed', async () => {
    expect(existsSync(join(cwd, 'node_modules/ws'))).toBe(false);
    const code = `
      delete globalThis.WebSocket;
      const { connect } = await import('pumphouse-client');
      const hub = connect('${server.url}', { user: 'ada' });
      hub.on('state', ({ name }) => console.log(name));
      await hub.join('try').send('hello').then(() => hub.close(), ({ code }) => console.log(code));`;
    const missing = node(cwd, '--input-type=module', '-e', code);
    expect(missing).toMatchObject({ status: 1, stdout: 'closed\nclosed\n' });
    expect(missing.stderr).toContain('TypeError: this platform has no WebSocket: install ws (npm install ws)');
    symlinkSync(resolve('node_modules/ws'), join(cwd, 'node_modules/ws'));
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) lines.push(line);
    expect(lines).toEqual(['connecting', 'live', 'closed']);
    expect(await runSnippet(cwd, server.url, 'pumphouse-client')).toEqual(SNIPPET_OUTPUT);
  });
});
