import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addKeyCommand } from '../../src/commands/key.ts';
import { run, serving } from './command.ts';
import { failureOf } from './failure.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-key-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('pumphouse key', () => {
  test('adds, lists and removes keys, which a running server notices', async () => {
    const file = ['--keys', join(folder, 'keys.json')];
    const { running, url } = await serving(file);
    try {
      const added = await run([
        'key',
        'add',
        'backend',
        '--scopes',
        'publish, read',
        '--rooms',
        'a',
        'orders:*',
        ...['--keys', file[1] as string],
      ]);
      expect(added).toMatchObject({ code: 0, stderr: '' });
      const key = added.stdout.trim();
      const publish = (room: string) =>
        fetch(`${url}/api/v1/publish`, {
          method: 'POST',
          headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
          body: JSON.stringify({ room, data: 1 }),
        }).then(({ status }) => status);
      expect([await publish('orders:1'), await publish('b')]).toEqual([200, 403]);
      const { stdout } = await run(['key', 'list'], { PUMPHOUSE_KEYS: file[1] as string });
      expect(stdout).toMatch(/^[\da-f]{16}\tbackend\tpublish,read\ta,orders:\*\t\d{4}-\d\d-\d\d\n$/);
      expect((await run(['key', 'remove', 'backend', ...file])).stdout).toBe(`removed backend from ${file[1]}\n`);
      expect(await publish('orders:1')).toBe(401);
    } finally {
      running.process.kill('SIGKILL');
    }
  });

  test.each([
    [['add', 'x'], "required option '--scopes <LIST>' not specified"],
    [['add', 'x', '--scopes', 'publish,all'], '--scopes: "all" is not one of publish, read, admin'],
    [['add', '', '--scopes', 'read'], "a key's name must have 1 to 64 bytes"],
  ])('rejects %j with one line', async (args, line) => {
    const failure = await failureOf(addKeyCommand, ['key', ...args, '--keys', join(folder, 'none.json')]);
    expect(failure).toContain(line);
    expect(failure.split('\n')).toHaveLength(1);
  });

  test('prints the line of a failure, and exits with 2', async () => {
    const args = ['remove', 'nobody'];
    const { code, stdout, stderr } = await run(['key', ...args, '--keys', join(folder, 'none.json')]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('there is no key "nobody"');
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  test.each(['1', '2'])('a server with %s workers does not start with a file of another kind', async (workers) => {
    const path = join(folder, 'other.json');
    writeFileSync(path, '{"users":{}}');
    const { code, stderr } = await run([
      'serve',
      '--port',
      '0',
      '--engine',
      'memory',
      '--workers',
      workers,
      '--keys',
      path,
    ]);
    expect([code, stderr]).toEqual([2, `pumphouse: the keys file ${path} cannot be read (not a keys file)\n`]);
  });
});
