/** What someone may do in some rooms. */
export interface Grant {
  /** A room's name, or the beginning of names followed by `*`. */
  readonly name: string;
  /** Both are allowed unless told otherwise. */
  readonly join?: boolean;
  readonly send?: boolean;
}

/** Whether one of the grants allows it: who has grants may do nothing else. */
export function allows(grants: readonly Grant[], action: 'join' | 'send', room: string): boolean {
  return grants.some((grant) => grant[action] !== false && covers(grant.name, room));
}

function covers(name: string, room: string): boolean {
  return name.endsWith('*') ? room.startsWith(name.slice(0, -1)) : room === name;
}
