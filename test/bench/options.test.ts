import { CommanderError } from 'commander';
import { afterEach, expect, test, vi } from 'vitest';
import { parseOptions } from '../../bench/options.ts';
import { comparisonJobs, parseComparison } from '../../bench/peers/options.ts';

test('has a default load', () => {
  expect(parseOptions([]).jobs[0]?.load).toMatchObject({
    clients: 1000,
    senders: 100,
    window: 1,
    bytes: 64,
    audit: 10,
    slow: 0,
  });
});

test.each([
  [['--clients', '0'], '1 to 1000000'],
  [['--clients', 'many'], '1 to 1000000'],
  [['--clients', '1.5'], 'whole number'],
  [['--senders', '20', '--clients', '10'], 'more --senders than --clients'],
  [['--window', '-1'], '1 to 100000'],
  [['--rate', '0'], '0.1 to'],
  [['--bytes', '15'], '16 to 1000000'],
  [['--bytes', '513'], 'at most 512 with the wire gorilla'],
  [['--bytes', '16001', '--wire', 'v1'], 'at most 16000 with the wire v1'],
  [['--wire', 'spoken'], 'gorilla, v1, socket.io, socket.io-rooms'],
  [['--room-size', '10'], '--room-size needs v1'],
  [['recover', '--wire', 'gorilla'], 'recover needs v1'],
  [['--generators', '9', '--clients', '8', '--senders', '1'], 'more --generators than --clients'],
  [['--seconds', 'NaN'], '0.1 to'],
  [['--warm-up', ''], '0 to 3600'],
  [['--url', 'localhost:8080'], 'ws:// or wss:// address'],
  [['--url', 'ftp://localhost'], 'ws:// or wss:// address'],
  [['--transport', 'tcp'], 'auto, uws, ws'],
  [['--nonsense'], "unknown option '--nonsense'"],
  [['more'], 'there is no scenario more'],
  [['--nodes', '0'], '1 to 16'],
  [['--aof', 'sometimes'], 'off, everysec, always'],
  [['chat', '--nodes', '2'], 'the wire gorilla does not confirm when a client has joined: --nodes needs v1'],
  [['durable', '--nodes', '2', '--wire', 'v1'], 'durable measures an engine of one node'],
  [['recover', '--nodes', '2'], 'recover measures an engine of one node'],
  [['nodes', '--url', 'ws://localhost:9000'], '--url measures one node: nodes starts its own'],
  [
    ['chat', '--nodes', '2', '--wire', 'v1', '--url', 'ws://localhost:9000'],
    '--url measures one node: chat starts its own',
  ],
])('rejects %j in one line that names the valid values', (args, reason) => {
  let rejection: unknown;
  try {
    parseOptions(args);
  } catch (error) {
    rejection = error;
  }
  expect(rejection).toBeInstanceOf(CommanderError);
  expect((rejection as CommanderError).message).toContain(reason);
  expect((rejection as CommanderError).message.trim()).not.toContain('\n');
  expect((rejection as CommanderError).exitCode).not.toBe(0);
});

test('accepts the address of a WebSocket server', () => {
  expect(parseOptions(['--url', 'ws://localhost:9000']).url?.href).toBe('http://localhost:9000/');
  expect(parseOptions(['--url', 'ws://localhost:9000/room']).url?.href).toBe('http://localhost:9000/room');
  expect(parseOptions(['--url', 'wss://example.org']).url?.href).toBe('https://example.org/');
});

test('runs a scenario on several nodes, and leaves out those of several nodes from all at an address', () => {
  expect(parseOptions(['nodes']).jobs[0]?.load).toMatchObject({ nodes: 2, aof: 'off', wire: 'v1' });
  expect(parseOptions(['chat', '--nodes', '3', '--wire', 'v1', '--aof', 'always']).jobs[0]?.load).toMatchObject({
    nodes: 3,
    aof: 'always',
  });
  const jobs = parseOptions(['all', '--url', 'ws://localhost:9000']).jobs;
  expect(jobs.length).toBeGreaterThan(10);
  expect(jobs.filter(({ load }) => load.nodes > 1)).toEqual([]);
});

test('limits auditors to the number of clients', () => {
  expect(parseOptions(['--clients', '3', '--senders', '1']).jobs[0]?.load.audit).toBe(3);
});

afterEach(() => vi.restoreAllMocks());

/** @returns the help text. */
function helpOf(parse: (args: readonly string[]) => unknown): string {
  let help = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    help += text;
    return true;
  });
  expect(() => parse(['--help'])).toThrow(expect.objectContaining({ exitCode: 0 }));
  return help;
}

test.each([
  ['pumphouse bench', parseOptions, 27],
  ['npm run bench:peers', parseComparison, 6],
] as const)('%s --help gives the default of each flag and the expected duration', (name, parse, flags) => {
  const help = helpOf(parse);
  expect(help).toContain(`Usage: ${name}`);
  const described = help
    .split(/^ {2}(?=-)/m)
    .slice(1)
    .map((option) => option.replaceAll(/\s+/g, ' '));
  expect(described).toHaveLength(flags);
  expect(described.filter((option) => !/^-h, --help|default: /.test(option))).toEqual([]);
  expect(help).toMatch(/about \d+ minutes/);
});

test('rejects an invalid comparison in one line that names the valid values', () => {
  expect(() => parseComparison(['--only', 'ws,nonsense'])).toThrow(
    /There is no server "nonsense". Servers: ws, socket.io/,
  );
  expect(() => parseComparison(['--seconds', 'x'])).toThrow(/It must be a number from 0.1/);
  expect(() => parseComparison(['nodes', 'storm'])).toThrow(/the comparison has no scenario storm: fan-out-100, /);
  expect(parseComparison(['--only', 'bun, ws'])).toMatchObject({ only: ['bun', 'ws'], seconds: 1.2, repeat: 3 });
});

test('compares the named scenarios only', () => {
  const options = parseComparison(['nodes', 'coalescing-5', '--aof', 'always']);
  const { compared, alone } = comparisonJobs(options);
  expect(compared).toMatchObject([{ scenario: { name: 'nodes' }, load: { nodes: 2, aof: 'always', seconds: 1.2 } }]);
  expect(alone).toMatchObject([{ scenario: { name: 'coalescing-5' } }]);
  const all = comparisonJobs(parseComparison([]));
  expect([...all.compared, ...all.alone]).toHaveLength(13);
});
