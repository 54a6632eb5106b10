import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { Calls } from '../../src/threads/calls.ts';
import { portOf } from '../../src/threads/port.ts';
import { fakePorts } from './ports.ts';

interface Server {
  add(a: number, b: number): number;
  later(ms: number): Promise<string>;
  fail(text: string): void;
  reject(): Promise<void>;
  note(text: string | undefined): void;
  make(): unknown;
}

interface Client {
  ask(question: string): string;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Returns both sides of a channel, and what the server's functions noted and threw. */
function connect() {
  const [clientPort, serverPort] = fakePorts();
  const notes: (string | undefined)[] = [];
  const errors: string[] = [];
  const others: unknown[] = [];
  const client = new Calls<Server, Client>(clientPort);
  const server = new Calls<Client, Server>(
    serverPort,
    (message) => others.push(message),
    (error) => errors.push(error.message),
  );
  server.serve({
    add: (a, b) => a + b,
    later: async (ms) => {
      await new Promise((resolve) => setTimeout(resolve, ms));
      return `after ${ms} ms`;
    },
    fail: (text) => {
      throw new RangeError(text);
    },
    reject: async () => {
      throw new Error('rejected');
    },
    note: (text) => void notes.push(text),
    make: () => () => {},
  });
  return { client, server, clientPort, serverPort, notes, errors, others };
}

describe('a call', () => {
  test('resolves to the result of the other side', async () => {
    const { client, server } = connect();
    client.serve({ ask: (question) => `${question}!` });
    expect(await client.call('add', 1, 2)).toBe(3);
    expect(await server.call('ask', 'why')).toBe('why!');
    expect(await client.call('note', undefined)).toBeUndefined();
  });

  test('is answered in any order, each to its caller', async () => {
    const { client } = connect();
    const order: unknown[] = [];
    const slow = client.call('later', 20).then((value) => order.push(value));
    const fast = client.call('later', 1).then((value) => order.push(value));
    const now = client.call('add', 1, 1).then((value) => order.push(value));
    await Promise.all([slow, fast, now]);
    expect(order).toEqual([2, 'after 1 ms', 'after 20 ms']);
  });

  test("rejects with the message and the name of the other side's error", async () => {
    const { client } = connect();
    await expect(client.call('fail', 'too long')).rejects.toMatchObject({ message: 'too long', name: 'RangeError' });
    await expect(client.call('reject')).rejects.toMatchObject({ message: 'rejected', name: 'Error' });
  });

  test('rejects where the other side serves no such function', async () => {
    const { client } = connect();
    const other = client as unknown as Calls<{ toString(): string; gone(): void }, Client>;
    await expect(other.call('gone')).rejects.toThrow('no function "gone" is served');
    await expect(other.call('toString')).rejects.toThrow('no function "toString" is served');
  });

  test('rejects for arguments and results that cannot be cloned', async () => {
    const { client } = connect();
    await expect(client.call('note', (() => {}) as unknown as string)).rejects.toThrow('could not be cloned');
    await expect(client.call('make')).rejects.toMatchObject({ name: 'DataCloneError' });
    expect(await client.call('add', 1, 2)).toBe(3);
  });

  test('rejects when the channel is closed, and so does every later one', async () => {
    const { client, clientPort } = connect();
    const waiting = client.call('later', 1);
    client.close(new Error('the other thread has ended'));
    client.close(new Error('once more'));
    const { posted } = clientPort;
    await expect(waiting).rejects.toThrow('the other thread has ended');
    await expect(client.call('add', 1, 2)).rejects.toThrow('the other thread has ended');
    client.tell('note', 'lost');
    expect(clientPort.posted).toBe(posted);
    await new Promise((resolve) => setTimeout(resolve, 5)); // the answer is ignored
  });

  test('is answered in the turn in which its function returns, before what is posted later', async () => {
    const { client, server, clientPort } = connect();
    const order: string[] = [];
    client.serve({
      ask: (question) => {
        order.push(question);
        return '';
      },
    });
    server.serve({ ordered: () => server.tell('ask', 'before') } as object);
    const other = client as unknown as Calls<{ ordered(): void }, Client>;
    const call = other.call('ordered').then(() => order.push('result'));
    await turn();
    server.tell('ask', 'after');
    await call;
    await turn();
    expect(order).toEqual(['before', 'result', 'after']);
    expect(clientPort.posted).toBe(1);
  });
});

describe('a call without a result', () => {
  test('is one message, and arrives in order', async () => {
    const { client, notes, clientPort, serverPort } = connect();
    client.tell('note', 'a');
    const call = client.call('note', 'b');
    client.tell('note', undefined);
    await call;
    await turn();
    expect(notes).toEqual(['a', 'b', undefined]);
    expect([clientPort.posted, serverPort.posted]).toEqual([3, 1]);
  });

  test('reports what the function throws to the side of the function', async () => {
    const { client, errors } = connect();
    client.tell('fail', 'at once');
    client.tell('reject');
    (client as unknown as Calls<{ gone(): void }, Client>).tell('gone');
    await turn();
    await turn();
    await turn();
    expect(errors).toEqual(['at once', 'rejected', 'no function "gone" is served']);
  });
});

describe('a message', () => {
  test('other than a call goes to the other receiver', async () => {
    const { clientPort, others } = connect();
    clientPort.post(1);
    clientPort.post('wake');
    await turn();
    await turn();
    expect(others).toEqual([1, 'wake']);
  });

  test.each([
    [[9, 1], 'malformed: [9,1]'],
    [[], 'malformed: []'],
    [[0, 1, 2, []], 'malformed: [2,[]]'],
    [[0, 'x', 'add', [1, 2]], 'malformed: [0,"x","add",[1,2]]'],
    [[3, 'note', 'a'], 'malformed: ["note","a"]'],
    [[1, 77, 'x'], 'a result of the call 77, which does not wait'],
    [5, 'malformed: 5'],
  ])('that is malformed throws at once: %j', (message, expected) => {
    let receive = (_: unknown) => {};
    const calls = new Calls<Server, Client>({
      post() {},
      receive: (listener) => {
        receive = listener;
      },
    });
    calls.serve({ ask: () => '' });
    expect(() => receive(message)).toThrow(expected);
  });
});

test('a function is served once', () => {
  const { server } = connect();
  expect(() => server.serve({ add: () => 0 })).toThrow('the function add is served already');
});

test('calls pass through a MessagePort', async () => {
  const { port1, port2 } = new MessageChannel();
  const client = new Calls<Server, Client>(portOf(port1));
  const early = client.call('add', 1, 2); // kept until the other end receives
  await turn();
  new Calls<Client, Server>(portOf(port2)).serve({ add: (a, b) => a + b });
  expect(await early).toBe(3);
  port1.close();
});

test('the reactions to a result run before the next message of a MessagePort', async () => {
  const { port1, port2 } = new MessageChannel();
  const order: string[] = [];
  const client = new Calls<Server, Client>(portOf(port1));
  client.serve({
    ask: (question) => {
      order.push(question);
      return '';
    },
  });
  const server = new Calls<Client, Server>(portOf(port2));
  server.serve({ add: (a, b) => a + b, note: () => server.tell('ask', 'later') });
  const call = client.call('add', 1, 2).then(async () => {
    await Promise.resolve();
    order.push('result');
  });
  client.tell('note', undefined);
  await call;
  await turn();
  await turn();
  expect(order).toEqual(['result', 'later']);
  port1.close();
});

test('calls pass between threads', async () => {
  const code = `
    const { parentPort } = require('node:worker_threads');
    parentPort.on('message', ([, n, method, [a, b]]) => parentPort.postMessage([1, n, method + (a + b)]));
  `;
  const worker = new Worker(code, { eval: true });
  const client = new Calls<{ add(a: number, b: number): string }, object>(portOf(worker));
  expect(await client.call('add', 1, 2)).toBe('add3');
  const exit = once(worker, 'exit');
  await worker.terminate();
  await exit;
});
