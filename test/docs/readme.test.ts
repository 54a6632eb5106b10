import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createServer } from 'pumphouse';
import { expect, test } from 'vitest';

const readme = readFileSync('README.md', 'utf8');

/** The cells of every table row that starts with `title`. */
function cells(title: string): string[] {
  const rows = readme.split('\n').filter((line) => line.startsWith(`| ${title} `));
  return rows.flatMap((line) =>
    line
      .split('|')
      .slice(2, -1)
      .map((cell) => cell.trim()),
  );
}

test.each(['CPU per delivery', 'memory per connection'])('the comparison repeats the measured %s', (title) => {
  const [pumphouse = '', socketIo = '', , ws = ''] = cells(title).slice(0, 4);
  const [onWs = '', onUws = ''] = socketIo.split(';');
  for (const [server, text] of [
    ['**pumphouse**', pumphouse],
    ['socket.io', onWs],
    ['socket.io on uws', onUws],
    ['ws', ws],
  ] as const) {
    const figure = /[\d.]+ (KiB|µs)/.exec(text)?.[0];
    expect(cells(server)).toContain(figure);
  }
});

test('the client in six lines runs', async () => {
  const [, code = ''] = /```js\n(.*?)```/s.exec(readme) ?? [];
  expect(code.trim().split('\n')).toHaveLength(6);
  const server = await createServer({ port: 0, drainWindow: 0 });
  const file = `.cache/readme-${process.pid}.ts`;
  mkdirSync('.cache', { recursive: true });
  writeFileSync(file, code.replace('http://localhost:8080', server.url));
  const client = spawn(process.execPath, ['--import', 'tsx', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const lines: string[] = [];
    for await (const line of createInterface({ input: client.stdout })) {
      if (lines.push(line) === 4) break;
    }
    expect(lines.toSorted()).toEqual(['1 ada hello', 'connecting', 'live', 'stored as 1']);
  } finally {
    client.kill();
    await server.stop();
    rmSync(file);
  }
});
