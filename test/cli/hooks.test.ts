import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Peer } from '../conformance/server.ts';
import { run, serving } from './command.ts';

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

  test.for([
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
  ] as const)('check-config loads %s', async ([name, source, hooks]) => {
    const path = module(name, source);
    const { code, stdout, stderr } = await run(['check-config', '--hooks', path]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`${path}: ${hooks}\n`);
  });

  test.for([
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
  ] as const)('%s prints one line and exits with 2', async ([name, source, problem]) => {
    const path = source === undefined ? join(folder, name) : module(name, source);
    const serve = ['serve', '--port', '0', '--engine', 'memory'];
    const rans = await Promise.all([serve, ['check-config']].map((args) => run([...args, '--hooks', path])));
    for (const { code, stderr } of rans) {
      expect([code, stderr]).toEqual([2, `pumphouse: the hooks file ${path} ${problem}\n`]);
    }
  });

  test('is not a folder', async () => {
    const { stderr } = await run(['check-config', '--hooks', folder]);
    expect(stderr).toBe(`pumphouse: the hooks file ${folder} is not a file\n`);
  });

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
