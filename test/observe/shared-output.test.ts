import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { createOutputLock, lockOutput } from '../../src/observe/shared-output.ts';

// Longer than what the system writes to a pipe at once, and longer than a pipe holds.
const LENGTH = 100_000;
const LINES = 50;

const program = `
  const { Worker } = require('node:worker_threads');
  const thread = async ({ letter, lock }) => {
    const { createLog } = await import(${JSON.stringify(pathToFileURL('dist/observe/log.js').href)});
    const log = createLog('info', { terminal: false, colours: false, lock }, 1);
    for (let i = 0; i < ${LINES}; i++) log.info(letter.repeat(${LENGTH}));
  };
  const source = '(' + thread + ')(require("node:worker_threads").workerData)';
  const lock = new SharedArrayBuffer(4);
  for (const letter of 'ab') new Worker(source, { eval: true, workerData: { letter, lock } });`;

test('lines of several threads do not mix in a pipe', async () => {
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  await once(child, 'close');
  const lines = text.split('\n').slice(0, -1);
  expect(lines).toHaveLength(2 * LINES);
  for (const line of lines) {
    const { worker, msg } = JSON.parse(line) as { worker: number; msg: string };
    expect([worker, msg === 'a'.repeat(LENGTH) || msg === 'b'.repeat(LENGTH)]).toEqual([1, true]);
  }
});

test('writes in spite of a thread that has ended within a line', () => {
  const lock = createOutputLock();
  new Int32Array(lock)[0] = 1;
  const lines: string[] = [];
  const output = lockOutput({ write: (line) => lines.push(line) }, lock, 50);
  output.write('one');
  output.write('two');
  expect(lines).toEqual(['one', 'two']);
});
