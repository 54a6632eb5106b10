import { matchesRoom } from '../protocol/room-pattern.ts';

/** A permission for some rooms. */
export interface Grant {
  /** A room's name, or a prefix followed by `*`. */
  readonly name: string;
  /** @default true */
  readonly join?: boolean;
  /** Allows messages and signals. @default true */
  readonly send?: boolean;
}

/** Reports whether a grant allows the action. Without a matching grant it is forbidden. */
export function allows(grants: readonly Grant[], action: 'join' | 'send', room: string): boolean {
  return grants.some((grant) => grant[action] !== false && matchesRoom(grant.name, room));
}

/** Reports whether a room's name, or a prefix followed by `*`, covers a room. */
export function covers(name: string, room: string): boolean {
  return matchesRoom(name, room);
}
