import { type Acknowledged, ClientCheck, type SentMessage } from './client-check.ts';
import type { ClientHistory } from './history.ts';
import { Logs, logOf } from './logs.ts';
import type { Violation } from './violation.ts';

export interface CheckOptions {
  /**
   * Whether the run has ended in peace: every client is a member, has an answer to every message,
   * and stands at the same place as the others. @default false
   */
  readonly settled?: boolean;
}

/**
 * Checks the histories of all clients against the guarantees of the protocol. It needs the history
 * of every client that sent a message, and sees only what clients received: let a client read the
 * whole history at the end (`RecordingClient.readAll`).
 *
 * - One record for each log, term and `seq`, the same for all clients and nodes.
 * - Each client receives contiguous messages, except for the gaps and losses in its notices.
 * - A message that a client received is lost only if a `joined` names it, and then it is gone.
 * - A message that was acknowledged is at its `seq`, unless its sender was notified of its loss, or
 *   sent it again before it learned of it.
 * - An id is stored once. The messages of a client are in the order in which it first sent them;
 *   one that was rejected, or sent again after its loss, may be stored late.
 *
 * @returns the violations, none if all is well.
 */
export function check(histories: readonly ClientHistory[], options: CheckOptions = {}): Violation[] {
  const rooms = new Set(histories.map(({ room }) => room));
  return [...rooms].flatMap((room) =>
    checkRoom(
      room,
      histories.filter((history) => history.room === room),
      options,
    ),
  );
}

function checkRoom(room: string, histories: readonly ClientHistory[], { settled = false }: CheckOptions): Violation[] {
  const logs = new Logs(room);
  const messages = sentMessages(histories);
  const checks = histories.map((history) => new ClientCheck(history, logs, messages));
  logs.compare();
  return [
    ...checks.flatMap(({ violations }) => violations),
    ...logs.violations,
    ...checks.flatMap((client) => acknowledgedViolations(client, logs)),
    ...(settled ? unsettledViolations(checks, messages) : []),
  ];
}

function sentMessages(histories: readonly ClientHistory[]): Map<string, SentMessage> {
  const messages = new Map<string, SentMessage>();
  for (const { name: client, events } of histories) {
    let order = 0;
    for (const event of events) {
      if (event.kind === 'send' && !messages.has(event.id)) {
        messages.set(event.id, { client, order: order++, data: event.data, rejected: false, answered: false });
      }
      if (event.kind === 'send' && messages.get(event.id)?.answered) {
        (messages.get(event.id) as SentMessage).rejected = true;
      }
      const message = event.kind === 'sent' || event.kind === 'error' ? messages.get(event.id ?? '') : undefined;
      if (event.kind === 'sent' && message) message.answered = true;
      if (event.kind === 'error' && message) {
        message.rejected = true;
        message.answered ||= !event.retry;
      }
    }
  }
  return messages;
}

function acknowledgedViolations(client: ClientCheck, logs: Logs): Violation[] {
  const violations: Violation[] = [];
  for (const { id, earlier, later } of client.reacknowledged) {
    if (!logs.shares(earlier.epoch, later.epoch, earlier.seq)) continue;
    const text = `${id} is acknowledged as ${earlier.seq} of ${earlier.epoch} and as ${later.seq} of ${later.epoch}`;
    violations.push({ kind: 'sent', client: client.name, text });
  }
  for (const [id, acknowledged] of client.acknowledged) {
    const text = problemOf(id, acknowledged, client, logs);
    if (text) violations.push({ kind: 'sent', client: client.name, text });
  }
  return violations;
}

function problemOf(
  id: string,
  { epoch, seq, lost }: Acknowledged,
  client: ClientCheck,
  logs: Logs,
): string | undefined {
  const last = client.place?.epoch ?? epoch;
  if (lost || logOf(last) !== logOf(epoch)) return undefined;
  const record = logs.find(last, seq);
  const name = `${id} is acknowledged as ${seq} of ${epoch}`;
  if (record) {
    const isIt = record.id === id && record.from === client.name;
    return isIt ? undefined : `${name}, where ${last} has ${JSON.stringify(record.id)} of ${record.from}`;
  }
  if (logs.isInGap(epoch, seq)) return undefined;
  // The client has not come back since the loss, so it could not be notified.
  if (last === epoch && logs.isLost(epoch, seq)) return undefined;
  return `${name}, which no client received in ${last}`;
}

function unsettledViolations(checks: readonly ClientCheck[], messages: ReadonlyMap<string, SentMessage>): Violation[] {
  const violations: Violation[] = [];
  const add = (client: string, text: string) => violations.push({ kind: 'unsettled', client, text });
  for (const [id, { client, answered }] of messages) if (!answered) add(client, `${id} has no answer`);
  const [first] = checks;
  for (const { name, joined, place } of checks) {
    if (!joined) add(name, 'is not a member');
    if (place?.epoch !== first?.place?.epoch || place?.seq !== first?.place?.seq) {
      add(name, `stands at ${JSON.stringify(place)}, ${first?.name} at ${JSON.stringify(first?.place)}`);
    }
  }
  return violations;
}
