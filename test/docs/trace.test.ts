import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** The files of calls or of a page, each at its first mention. */
const inOrder = (files: readonly string[]) => [...new Set(files)];

/** The page's files: as the message is read, and in the Hub's turn. */
function described(): { reading: string[]; turn: string[] } {
  const page = readFileSync('docs/architecture.md', 'utf8');
  const [, section = ''] = /^## One message\b.*?\n(.*?)^## /ms.exec(page) ?? [];
  const [reading = '', turn = ''] = section.split("### In the Hub's turn");
  const files = (text: string) => inOrder(text.match(/(?<=`)src\/[\w./-]+\.ts(?=`)/g) ?? []);
  return { reading: files(reading), turn: files(turn) };
}

/**
 * The files that a real message enters. Both adapters of the transport stand at the same station.
 */
function recorded(): { reading: string[]; turn: string[] } {
  const output = execFileSync(
    process.execPath,
    ['--import', './test/docs/trace/record-calls.mjs', 'test/docs/trace/one-message.mjs'],
    { encoding: 'utf8', timeout: 20_000 },
  );
  const calls = (JSON.parse(output) as string[]).map((call) => call.replace('transport/ws.ts', 'transport/uws.ts'));
  const start = calls.indexOf('src/hub/hub.ts #run');
  const files = (part: readonly string[]) => inOrder(part.map((call) => call.split(' ')[0] as string));
  return { reading: files(calls.slice(0, start)), turn: files(calls.slice(start)) };
}

test('the architecture opens with the files that one message enters, in their order', () => {
  expect(described()).toEqual(recorded());
});
