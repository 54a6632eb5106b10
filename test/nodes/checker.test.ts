import { expect, test } from 'vitest';
import { type CheckOptions, check } from './checker.ts';
import type { ClientEvent, ClientHistory, Lost, ReceivedMessage } from './history.ts';

const A = 'log-a';
const B = 'log-b';

/** Builds a history. Messages are named like `ada1`: their sender, and the number of the send. */
class Script {
  readonly #events: ClientEvent[] = [];
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  get history(): ClientHistory {
    return { name: this.#name, room: 'r', events: this.#events.map((event) => ({ ...event, time: 0 })) };
  }

  /** Connects and joins. @param since `[epoch, seq]`. */
  join(epoch: string, seq: number, since?: readonly [string, number], recovered = true, lost?: Lost): this {
    const place = since && { epoch: since[0], seq: since[1] };
    this.#add({ kind: 'opened', port: 1 }).#add({ kind: 'join', ...(place && { since: place }) });
    return this.moved(epoch, seq, recovered, lost);
  }

  /** Receives an unsolicited `joined`. */
  moved(epoch: string, seq: number, recovered: boolean, lost?: Lost): this {
    return this.#add({ kind: 'joined', epoch, seq, recovered, ...(lost && { lost }) });
  }

  /** Receives messages, the first at `seq`. */
  receives(seq: number, ...ids: readonly string[]): this {
    for (const [i, id] of ids.entries()) this.#add({ kind: 'message', ...message(seq + i, id) });
    return this;
  }

  /** Receives one reply to a request for history. */
  reads(...messages: readonly ReceivedMessage[]): this {
    return this.#add({ kind: 'history', messages });
  }

  sends(...ids: readonly string[]): this {
    for (const id of ids) this.#add({ kind: 'send', id, data: id });
    return this;
  }

  sent(id: string, seq: number): this {
    return this.#add({ kind: 'sent', id, seq, duplicate: false });
  }

  rejected(id: string, retry = true): this {
    return this.#add({ kind: 'error', code: 'unavailable', id, retry });
  }

  gap(from: number, to: number): this {
    return this.#add({ kind: 'gap', from, to, why: 'trimmed' });
  }

  closes(): this {
    return this.#add({ kind: 'closed', code: 1006, reason: '' });
  }

  #add(event: ClientEvent): this {
    this.#events.push(event);
    return this;
  }
}

/** The suffix after a colon makes it another record of the same id. */
function message(seq: number, name: string): ReceivedMessage {
  const [id = '', at = '0'] = name.split(':');
  return { seq, id, from: id.replace(/\d+$/, ''), at: Number(at), data: id };
}

const client = (name: string) => new Script(name);
const kinds = (scripts: readonly Script[], options?: CheckOptions) =>
  check(
    scripts.map(({ history }) => history),
    options,
  ).map(({ kind }) => kind);

const texts = (scripts: readonly Script[]) => check(scripts.map(({ history }) => history)).map(({ text }) => text);

/** A sender of `ada1` to `ada9`. */
const ada = () => client('ada').sends(...Array.from({ length: 9 }, (_, i) => `ada${i + 1}`));

test('accepts an ordinary life on two nodes', () => {
  const sender = client('ada')
    .join(A, 0)
    .sends('ada1', 'ada2')
    .sent('ada1', 1)
    .receives(1, 'ada1', 'ada2')
    .sent('ada2', 2);
  const other = client('bob').join(A, 0).receives(1, 'ada1').closes().join(A, 1, [A, 1]).receives(2, 'ada2');
  expect(kinds([sender, other], { settled: true })).toEqual([]);
});

test('accepts a failover that lost nothing', () => {
  const sender = ada()
    .join(A, 0)
    .receives(1, 'ada1', 'ada2')
    .sent('ada2', 2)
    .closes()
    .join(B, 2, [A, 2])
    .receives(3, 'ada3');
  const member = client('bob').join(A, 0).receives(1, 'ada1', 'ada2').moved(B, 2, true).receives(3, 'ada3');
  expect(kinds([sender, member])).toEqual([]);
});

test('accepts a lost tail that is named, for clients that resume and for members', () => {
  const sender = ada().join(A, 0).receives(1, 'ada1', 'ada2', 'ada3').sent('ada2', 2).sent('ada3', 3).closes();
  sender.join(B, 1, [A, 3], false, { from: 2, to: 3 }).receives(2, 'ada4', 'ada5');
  const member = client('bob').join(A, 0).receives(1, 'ada1', 'ada2');
  member.moved(B, 1, false, { from: 2, to: 3 }).receives(2, 'ada4', 'ada5');
  const behind = client('eve').join(A, 0).moved(B, 0, false, { from: 2, to: 3 }).receives(1, 'ada1', 'ada4', 'ada5');
  expect(kinds([sender, member, behind])).toEqual([]);
});

test('accepts an unacknowledged message that is stored again after its first record was lost', () => {
  const sender = ada().join(A, 0).receives(1, 'ada1', 'ada2').closes();
  sender.join(B, 1, [A, 2], false, { from: 2, to: 2 }).receives(2, 'ada2:9');
  expect(kinds([sender])).toEqual([]);
});

test('accepts an acknowledged message that is sent again after a loss that its sender could not see', () => {
  const sender = ada().join(A, 0).receives(1, 'ada1').sent('ada1', 1).sent('ada3', 3).closes();
  sender.join(B, 1, [A, 1]).sends('ada3').receives(2, 'ada4', 'ada3:9').sent('ada3', 3);
  const member = client('bob').join(A, 0).receives(1, 'ada1', 'ada2', 'ada3');
  expect(kinds([sender, member.moved(B, 1, false, { from: 2, to: 3 }).receives(2, 'ada4', 'ada3:9')])).toEqual([]);
});

test('accepts gaps, at a resume and between messages, and a log that was replaced', () => {
  const behind = client('bob').join(A, 0).gap(1, 4).receives(5, 'ada5').closes().join(A, 8, [A, 5], false).gap(6, 8);
  const replaced = client('eve').join(A, 4).receives(5, 'ada5').closes().join('new-c', 2, [A, 5], false).gap(1, 2);
  expect(kinds([ada(), behind.receives(9, 'ada9'), replaced.receives(3, 'ada1')])).toEqual([]);
});

test('accepts a message that was rejected and is stored late', () => {
  const sender = ada().join(A, 0).rejected('ada1').receives(1, 'ada2', 'ada1', 'ada3');
  expect(kinds([sender])).toEqual([]);
});

test('accepts a client that resumes at an older place and receives the messages again', () => {
  const back = client('bob').join(A, 0).receives(1, 'ada1', 'ada2', 'ada3').closes();
  expect(kinds([ada(), back.join(A, 1, [A, 1]).receives(2, 'ada2', 'ada3', 'ada4')])).toEqual([]);
});

test('finds two records at one seq of one epoch', () => {
  const clients = [client('bob').join(A, 0).receives(1, 'ada1'), client('eve').join(A, 0).receives(1, 'ada2')];
  expect(kinds([ada(), ...clients])).toEqual(['conflict']);
  const again = [client('bob').join(A, 0).receives(1, 'ada1:1'), client('eve').join(A, 0).reads(message(1, 'ada1:2'))];
  expect(kinds([ada(), ...again])).toEqual(['conflict']);
});

test('finds two records at one seq that two epochs share, also by way of a third', () => {
  const one = client('bob').join(A, 0).receives(1, 'ada1', 'ada2');
  const other = client('eve').join('log-c', 0).receives(1, 'ada1', 'ada3');
  expect(kinds([ada(), one, other])).toEqual([]);
  const links = [client('kim').join(B, 2, [A, 2]), client('lea').join('log-c', 2, [B, 2])];
  expect(kinds([ada(), one, other, ...links])).toEqual(['conflict']);
});

test('finds a hole, a repeat and a gap that names the wrong messages', () => {
  expect(kinds([ada(), client('bob').join(A, 0).receives(2, 'ada2')])).toEqual(['hole']);
  expect(kinds([ada(), client('bob').join(A, 0).receives(1, 'ada1').receives(1, 'ada1')])).toEqual([
    'repeat',
    'repeat',
  ]);
  expect(kinds([ada(), client('bob').join(A, 0).gap(2, 3).receives(4, 'ada4')])).toEqual(['hole']);
  expect(kinds([client('bob').join(A, 8, [A, 5], false).gap(7, 8)])).toEqual(['hole']);
  expect(kinds([client('bob').join(A, 8, [A, 5], false)])).toEqual(['hole']);
  expect(kinds([ada(), client('bob').join(A, 0).reads(message(1, 'ada1'), message(3, 'ada3'))])).toEqual(['hole']);
  expect(kinds([ada(), client('bob').receives(1, 'ada1')])).toEqual(['hole']);
});

test('finds an id that is stored twice, for one client and between clients', () => {
  expect(kinds([ada(), client('bob').join(A, 0).receives(1, 'ada1', 'ada1')])).toContain('repeat');
  const one = client('bob').join(A, 0).receives(1, 'ada1');
  const other = client('eve').join(A, 1).receives(2, 'ada1');
  expect(kinds([ada(), one, other])).toEqual(['repeat']);
  const later = client('eve').join(A, 1).closes().join(B, 1, [A, 1]).receives(2, 'ada1');
  expect(kinds([ada(), one, later])).toEqual(['repeat']);
});

test('finds a place that moves back, forward or to another log without notice', () => {
  const at2 = () => client('bob').join(A, 0).receives(1, 'ada1', 'ada2');
  expect(kinds([ada(), at2().closes().join(B, 1, [A, 2])])).toEqual(['unreported']);
  expect(kinds([ada(), at2().closes().join(B, 3, [A, 2])])).toEqual(['unreported']);
  expect(kinds([ada(), at2().closes().join(A, 2, [A, 2], false)])).toEqual(['unreported']);
  expect(kinds([ada(), at2().closes().join('new-c', 0, [A, 2])])).toEqual(['unreported']);
  expect(kinds([ada(), at2().moved(B, 1, true)])).toEqual(['unreported']);
  expect(texts([client('bob').join(A, 3, undefined, false)])).toEqual(['a first join is not recovered']);
  expect(texts([at2().moved(B, 1, true, { from: 2, to: 2 }), ada()])).toEqual([
    'log-b is recovered after log-a 2, and names lost messages',
  ]);
});

test('finds a loss that is not named exactly', () => {
  const at3 = () => client('bob').join(A, 0).receives(1, 'ada1', 'ada2', 'ada3');
  const resume = (seq: number, lost: Lost) => kinds([ada(), at3().closes().join(B, seq, [A, 3], false, lost)]);
  expect(resume(1, { from: 2, to: 3 })).toEqual([]);
  expect(resume(1, { from: 2, to: 2 })).toEqual(['unreported']);
  expect(resume(1, { from: 2, to: 4 })).toEqual(['unreported']);
  expect(resume(0, { from: 2, to: 3 })).toEqual(['unreported']);
  expect(kinds([ada(), at3().moved(B, 1, false, { from: 2, to: 2 })])).toEqual(['unreported']);
  expect(kinds([ada(), at3().moved(A, 1, false, { from: 2, to: 3 })])).toEqual(['unreported']);
});

test('finds different ends of one term, and a loss that did not happen', () => {
  const lost = client('bob').join(B, 1, [A, 3], false, { from: 2, to: 3 });
  expect(kinds([lost, client('eve').join(B, 2, [A, 3], false, { from: 3, to: 3 })])).toEqual(['ends']);
  expect(kinds([lost, client('eve').join(B, 2, [A, 2])])).toEqual(['ends']);
  const member = client('eve').join(A, 0).receives(1, 'ada1', 'ada2');
  const still = client('kim').join(B, 0).receives(1, 'ada1', 'ada2');
  expect(kinds([ada(), lost, member, still])).toEqual(['ends']);
});

test('finds an acknowledged message that is not at its seq', () => {
  const reader = () => client('bob').join(A, 0).receives(1, 'ada1', 'ada2');
  expect(kinds([ada().join(A, 0).sent('ada2', 2), reader()])).toEqual([]);
  expect(kinds([ada().join(A, 0).sent('ada2', 1), reader()])).toEqual(['sent']);
  expect(kinds([ada().join(A, 0).sent('ada3', 3), reader()])).toEqual(['sent']);
  expect(kinds([ada().join(A, 0).sent('ada3', 3), reader().gap(3, 3)])).toEqual([]);
  const twice = ada().join(A, 0).receives(1, 'ada1').sent('ada2', 2).closes().join(B, 1, [A, 1]).sent('ada2', 3);
  const whole = client('eve').join(A, 0).receives(1, 'ada1', 'ada2').moved(B, 2, true).receives(3, 'ada3');
  expect(kinds([twice, whole])).toContain('sent');
  expect(texts([ada().join(A, 0).sent('ada1', 2).sent('ada1', 1), reader()])).toEqual([
    'ada1 is acknowledged as 2 of log-a and as 1 of log-a',
  ]);
  expect(texts([client('eve').join(A, 0).sent('ada1', 1), ada(), reader()])).toContain(
    'ada1 is acknowledged and was not sent',
  );
});

test('finds an acknowledged message that is lost without notice', () => {
  const other = client('bob').join(A, 0).receives(1, 'ada1', 'ada2').moved(B, 1, false, { from: 2, to: 2 });
  const absent = ada().join(A, 0).receives(1, 'ada1').sent('ada2', 2);
  expect(kinds([absent, other])).toEqual([]);
  const back = ada().join(A, 0).receives(1, 'ada1').sent('ada2', 2).closes().join(B, 1, [A, 1]);
  expect(kinds([back, other])).toEqual(['sent']);
  expect(kinds([back, other.receives(2, 'ada3')])).toEqual(['sent']);
});

test('finds messages of one sender in the wrong order', () => {
  expect(kinds([ada(), client('bob').join(A, 0).receives(1, 'ada2', 'ada1')])).toEqual(['order']);
  const lost = client('bob').join(A, 0).receives(1, 'ada1', 'ada3').moved(B, 1, false, { from: 2, to: 2 });
  expect(kinds([ada(), lost.receives(2, 'ada2')])).toEqual([]);
});

test('finds messages that nobody sent', () => {
  expect(kinds([client('bob').join(A, 0).receives(1, 'ada1')])).toEqual(['foreign']);
  const forged = client('eve').sends('ada1');
  expect(kinds([forged, client('bob').join(A, 0).receives(1, 'ada1')])).toEqual(['foreign']);
});

test('finds missing answers, members and messages at the end', () => {
  const settled = { settled: true };
  const bob = client('bob')
    .join(A, 0)
    .sends('bob1', 'bob2')
    .receives(1, 'bob1')
    .sent('bob1', 1)
    .rejected('bob2', false);
  expect(kinds([bob], settled)).toEqual([]);
  expect(kinds([bob, client('eve').join(A, 0)], settled)).toEqual(['unsettled']);
  expect(kinds([bob.sends('bob3')], settled)).toEqual(['unsettled']);
  expect(kinds([client('eve').join(A, 0).closes()], settled)).toEqual(['unsettled']);
});
