import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { ConfigError, createServer, type ServerOptions } from 'pumphouse';
import { expect, test } from 'vitest';

/** Runs a program that starts and stops a server. @returns its standard output. */
async function outputOf(options: string): Promise<string> {
  const program = `
    import { createServer } from './dist/index.js';
    const server = await createServer({ port: 0, ${options} });
    await server.stop();
  `;
  const args = ['--input-type=module', '--eval', program];
  return (await promisify(execFile)(process.execPath, args)).stdout;
}

test('logs JSON from the given level on', async () => {
  const lines = (await outputOf("logLevel: 'info'")).trim().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: 30, engine: 'memory', msg: expect.stringMatching(/^pumphouse serves http:/) },
  ]);
  expect(await outputOf("logLevel: 'error'")).toBe('');
});

test('logs nothing by default', async () => {
  expect(await outputOf('')).toBe('');
});

test('logs to the logger of the program', async () => {
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => lines.push(JSON.parse(line).msg) });
  const server = await createServer({ port: 0, log });
  await server.stop();
  expect(lines).toEqual([`pumphouse serves ${server.url}`]);
});

test('rejects both a log and a level, and an unknown level, in one line', async () => {
  const both = createServer({ port: 0, log: pino({ level: 'silent' }), logLevel: 'info' });
  await expect(both).rejects.toThrow(ConfigError);
  await expect(both).rejects.toThrow('log and logLevel exclude each other; set one of them');
  const unknown = createServer({ port: 0, logLevel: 'loud' } as unknown as ServerOptions);
  await expect(unknown).rejects.toThrow('logLevel: "loud" is not one of fatal, error, warn, info, debug');
});
