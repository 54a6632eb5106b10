import * as v from 'valibot';
import type { Revocations } from '../auth/revocations.ts';
import type { Hub } from '../hub/hub.ts';
import { type Close, closes, revokedClose } from '../protocol/close-codes.ts';
import { isReservedRoom } from '../protocol/reserved-rooms.ts';
import { matchesRoom } from '../protocol/room-pattern.ts';
import type { Json } from '../protocol/v1.ts';
import { type AnswerTo, type Question, question } from './questions.ts';

/** A connected client, as the API acts on it. */
export interface ApiClient {
  /** Name by which others know it. */
  readonly user: string;
  /** When its credential was issued, in milliseconds since 1970; 0 if that is unknown. */
  readonly issued: number;
  /** Whether its credential is a token. */
  readonly hasToken: boolean;
  readonly closed: boolean;
  end(close: Close): void;
  removeFrom(room: string): 'left' | 'closed' | 'absent';
  demandToken(within: number): 'asked' | 'closed' | 'unaffected';
}

export interface LocalNodeOptions {
  readonly hub: Pick<Hub, 'occupiedRooms' | 'usersIn'>;
  readonly clients: ReadonlySet<ApiClient>;
  readonly revocations: Revocations;
  /** Finds the lives of connections. @default they are not recorded */
  readonly findLives?: ((query: Pick<Of<'lives'>, 'by' | 'name'>) => AnswerTo<'lives'>) | undefined;
}

type Of<Kind extends Question['kind']> = Extract<Question, { kind: Kind }>;

const NO_LIVES: AnswerTo<'lives'> = { connections: [], reports: [] };

// Users whose revocations are read at once.
const CHECKED_AT_ONCE = 500;

/** Answers the questions of the API for this node or worker alone. */
export class LocalNode {
  readonly #hub: LocalNodeOptions['hub'];
  readonly #clients: ReadonlySet<ApiClient>;
  readonly #revocations: Revocations;
  readonly #findLives: NonNullable<LocalNodeOptions['findLives']>;

  constructor({ hub, clients, revocations, findLives = () => NO_LIVES }: LocalNodeOptions) {
    this.#hub = hub;
    this.#clients = clients;
    this.#revocations = revocations;
    this.#findLives = findLives;
  }

  /** Answers a question of another node. @throws ValiError for one of another version. */
  asked(value: Json): Json {
    return this.answer(v.parse(question, value)) as unknown as Json;
  }

  answer(asked: Question): AnswerTo<Question['kind']> {
    switch (asked.kind) {
      case 'rooms':
        return this.#rooms(asked);
      case 'members':
        return this.#members(asked);
      case 'disconnect':
        return this.#disconnect(asked);
      case 'leave':
        return this.#leave(asked);
      case 'refresh':
        return this.#refresh(asked);
      case 'revoke':
        return this.#revoke(asked);
      case 'lives':
        return this.#findLives(asked);
    }
  }

  /**
   * Closes the connections whose credentials were revoked while this node could not reach the
   * others. Rejects when it cannot reach them again.
   */
  async closeRevoked(): Promise<void> {
    const byUser = new Map<string, ApiClient[]>();
    for (const client of this.#clients) {
      const others = byUser.get(client.user);
      if (others) others.push(client);
      else byUser.set(client.user, [client]);
    }
    const users = [...byUser.keys()];
    for (let at = 0; at < users.length; at += CHECKED_AT_ONCE) {
      const some = users.slice(at, at + CHECKED_AT_ONCE);
      const times = await this.#revocations.timesOf(some);
      for (const [i, user] of some.entries()) closeOlder(byUser.get(user) ?? [], times[i] ?? 0);
    }
  }

  #rooms({ prefix, after, limit, patterns }: Of<'rooms'>): AnswerTo<'rooms'> {
    const first = new FirstNames(limit + 1);
    for (const { name, members } of this.#hub.occupiedRooms()) {
      const isWanted = name > after && name.startsWith(prefix) && !isReservedRoom(name);
      if (isWanted && (patterns?.some((pattern) => matchesRoom(pattern, name)) ?? true)) first.add(name, members);
    }
    const rooms = first.take();
    return { rooms: rooms.slice(0, limit), more: rooms.length > limit };
  }

  #members({ room, after, limit }: Of<'members'>): AnswerTo<'members'> {
    const connections = new Map<string, number>();
    let count = 0;
    for (const user of this.#hub.usersIn(room)) {
      count++;
      if (user > after) connections.set(user, (connections.get(user) ?? 0) + 1);
    }
    const first = new FirstNames(limit + 1);
    for (const [user, number] of connections) first.add(user, number);
    const members = first.take();
    return { count, members: members.slice(0, limit), more: members.length > limit };
  }

  #disconnect({ user, reconnect, reason }: Of<'disconnect'>): AnswerTo<'disconnect'> {
    const close = reconnect ? closes.reconnect : closes.disconnected;
    const clients = this.#of(user);
    for (const client of clients) client.end({ ...close, ...(reason && { reason }) });
    return { closed: clients.length };
  }

  #leave({ user, room }: Of<'leave'>): AnswerTo<'leave'> {
    const results = this.#of(user).map((client) => client.removeFrom(room));
    return { left: countOf(results, 'left'), closed: countOf(results, 'closed') };
  }

  #refresh({ user, within }: Of<'refresh'>): AnswerTo<'refresh'> {
    const results = this.#of(user).map((client) => client.demandToken(within));
    return {
      asked: countOf(results, 'asked'),
      closed: countOf(results, 'closed'),
      unaffected: countOf(results, 'unaffected'),
    };
  }

  /** A handshake that goes on is closed when its connection opens. */
  #revoke({ user, before }: Of<'revoke'>): AnswerTo<'revoke'> {
    this.#revocations.announced(user, before);
    return { closed: closeOlder(this.#of(user), before) };
  }

  #of(user: string): ApiClient[] {
    return [...this.#clients].filter((client) => client.user === user && !client.closed);
  }
}

/** @returns how many were closed. */
function closeOlder(clients: readonly ApiClient[], before: number): number {
  const older = clients.filter(({ issued, closed }) => issued < before && !closed);
  for (const client of older) client.end(revokedClose(client.hasToken));
  return older.length;
}

function countOf<T>(results: readonly T[], result: T): number {
  return results.filter((each) => each === result).length;
}

/** Keeps the first names in order, of many, each with a number. */
class FirstNames {
  readonly #limit: number;
  #names: [name: string, number: number][] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Sorts from time to time only: at most as many names as twice the limit. */
  add(name: string, number: number): void {
    this.#names.push([name, number]);
    if (this.#names.length >= 2 * this.#limit) this.take();
  }

  take(): [name: string, number: number][] {
    this.#names = this.#names.sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, this.#limit);
    return this.#names;
  }
}
