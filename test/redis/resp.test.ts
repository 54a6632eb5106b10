import { expect, test } from 'vitest';
import { commandName, decode, encodeCommand, isPush, RedisError, RespSplitter } from './resp.ts';

const STREAM =
  '+OK\r\n:7\r\n$5\r\na\r\nbc\r\n$-1\r\n*2\r\n$1\r\nx\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$0\r\n\r\n%1\r\n+k\r\n_\r\n-ERR no\r\n';
const VALUES = ['OK', 7, 'a\r\nbc', null, ['x', 1], ['message', 'c', ''], ['k', null], new RedisError('ERR no')];

test('cuts a stream into whole values, however its bytes arrive', () => {
  for (const size of [1, 2, 3, 7, STREAM.length]) {
    const splitter = new RespSplitter();
    const values: Buffer[] = [];
    for (let at = 0; at < STREAM.length; at += size)
      values.push(...splitter.push(Buffer.from(STREAM.slice(at, at + size))));
    expect(values.map(decode)).toEqual(VALUES);
    expect(values.map(String).join('')).toBe(STREAM);
    expect(values.filter(isPush)).toHaveLength(1);
  }
});

test('encodes commands and names them', () => {
  const command = encodeCommand(['evalsha', 12, Buffer.from('é')]);
  expect(String(command)).toBe('*3\r\n$7\r\nevalsha\r\n$2\r\n12\r\n$2\r\né\r\n');
  expect(commandName(command)).toBe('EVALSHA');
});
