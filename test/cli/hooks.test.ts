import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Peer } from '../conformance/server.ts';
import { Running, run, serving } from './command.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes a module. @returns its path. */
function module(name: string, source: string): string {
  const path = join(folder, name);
  writeFileSync(path, source);
  return path;
}

/**
 * Loads modules as the commands do, all in one process of Node: Vitest would load them in its own
 * way.
 *
 * @returns the names of the hooks of each, or the line of its error.
 */
async function load(paths: readonly string[]): Promise<({ hooks: string } | { invalid: string })[]> {
  const source = `
    import { ConfigError } from './dist/config/error.js';
    import { loadHooks } from './dist/server/hooks-file.js';
    const loading = process.argv.slice(1).map((path) => loadHooks(path).then(
      (hooks) => ({ hooks: Object.keys(hooks).join(', ') }),
      (error) => error instanceof ConfigError ? { invalid: error.message } : Promise.reject(error),
    ));
    console.log(JSON.stringify(await Promise.all(loading)));`;
  const { stdout, stderr } = await new Running(paths, {}, ['--input-type=module', '--eval', source]).ended;
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

const RULES = `
  export const connect = ({ query }) => (query.get('user') === 'eve' ? 'not you' : true);
  export async function join({ user }, room) { return room !== 'staff' || user === 'boss'; }`;

describe.concurrent('--hooks', () => {
  test('decides who may connect, join and send', async () => {
    const { running, port, url } = await serving(['--hooks', module('rules.mjs', RULES)]);
    expect(await (await fetch(`${url}/publish?user=eve`, { method: 'POST', body: 'hi' })).text()).toBe('not you\n');
    const ada = await Peer.connect(port, '?user=ada');
    ada.send({ t: 'join', room: 'staff' });
    expect(await ada.next('error')).toMatchObject({ code: 'forbidden', room: 'staff' });
    const boss = await Peer.connect(port, '?user=boss&room=staff');
    expect(await boss.next('joined')).toMatchObject({ room: 'staff' });
    expect((await running.end()).code).toBe(0);
  });

  test('rejects what a hook does not decide within --hook-timeout', async () => {
    const path = module('slow.mjs', 'export const join = () => new Promise(() => {});');
    const { running, port } = await serving(['--hooks', path, '--hook-timeout', '20']);
    const ada = await Peer.connect(port, '?room=r');
    expect(await ada.next('error')).toMatchObject({ code: 'unavailable', room: 'r' });
    expect(await running.line('a hook failed')).toMatchObject({ hook: 'join', err: { message: expect.any(String) } });
    expect((await running.end()).code).toBe(0);
  });

  const loadable = [
    ['named.mjs', 'export function join() { return true; } export const send = () => true;', 'join, send'],
    ['default.mjs', 'export default { connect() { return true; } }', 'connect'],
    ['both.mjs', 'export function join() { return true; } export default { join }', 'join'],
    ['named.cjs', 'exports.join = () => true;', 'join'],
    ['default.cjs', 'module.exports = { send: () => true };', 'send'],
    [
      'compiled.cjs',
      'Object.defineProperty(exports, "__esModule", { value: true }); exports.default = { join: () => true };',
      'join',
    ],
  ] as const;

  test('those of every form of module are loaded', async () => {
    const paths = loadable.map(([name, source]) => module(name, source));
    expect(await load(paths)).toEqual(loadable.map(([, , hooks]) => ({ hooks })));
  });

  test('check-config prints their names', async () => {
    const path = module('printed.mjs', loadable[0][1]);
    const { code, stdout, stderr } = await run(['check-config', '--hooks', path]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`${path}: join, send\n`);
  });

  const invalid = [
    ['gone.mjs', undefined, 'cannot be read: ENOENT'],
    ['syntax.mjs', 'export const = 1;', "cannot be loaded: SyntaxError: Unexpected token '='"],
    ['throws.mjs', 'throw new Error("no database\\nat all");', 'cannot be loaded: Error: no database'],
    ['misspelled.mjs', 'export const jion = () => true;', 'exports "jion", which is no hook; did you mean "join"?'],
    [
      'other.cjs',
      'exports.onMessage = () => {};',
      'exports "onMessage", which is no hook; hooks are connect, join, send',
    ],
    ['value.mjs', 'export const join = true;', 'exports join, which is not a function'],
    ['function.cjs', 'module.exports = () => true;', 'has a default export that is not an object of hooks'],
    ['empty.mjs', 'export {};', 'exports no hook; hooks are connect, join, send'],
    ['empty.cjs', '', 'exports no hook; hooks are connect, join, send'],
    [
      'twice.mjs',
      'export const join = () => true; export default { join: () => false };',
      'exports two hooks join: its own, and one of its default',
    ],
  ] as const;

  test('a module with anything but hooks has one line of error', async () => {
    const paths = invalid.map(([name, source]) => (source === undefined ? join(folder, name) : module(name, source)));
    expect(await load([...paths, folder])).toEqual([
      ...invalid.map(([, , problem], i) => ({ invalid: `the hooks file ${paths[i]} ${problem}` })),
      { invalid: `the hooks file ${folder} is not a file` },
    ]);
  });

  test.for([['serve', '--port', '0', '--engine', 'memory'], ['check-config']])(
    '%j prints the line of an invalid module, and exits with 2',
    async (args) => {
      const path = module(`${args[0]}.mjs`, 'throw new Error("no database\\nat all");');
      const { code, stderr } = await run([...args, '--hooks', path]);
      const line = `pumphouse: the hooks file ${path} cannot be loaded: Error: no database\n`;
      expect([code, stderr]).toEqual([2, line]);
    },
  );

  test('a timer of the hooks keeps no command from its end', async () => {
    const path = module('timer.mjs', `setInterval(() => {}, 1000);${RULES}`);
    const holder = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const { port } = holder.address() as { port: number };
    const [checked, taken] = await Promise.all([
      run(['check-config', '--hooks', path]),
      run(['serve', '--port', `${port}`, '--engine', 'memory', '--hooks', path]),
    ]);
    holder.close();
    expect([checked.code, taken.code]).toEqual([0, 2]);
    const { running } = await serving(['--hooks', path]);
    const startedAt = performance.now();
    expect((await running.end()).code).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});
