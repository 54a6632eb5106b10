/** The Redis keys and the channel of one room. All are in one hash slot. */
export interface RoomKeys {
  readonly meta: string;
  readonly log: string;
  /** The two generations of recent ids. */
  readonly ids: readonly [string, string];
  /** Entries of the log with changed records, which the stream does not have any more. */
  readonly moved: string;
  /** Members, a field for each node. */
  readonly presence: string;
  readonly channel: string;
}

const PARTITIONS = 256;
const SLOTS = 16_384;

const tags = balancedTags();

/**
 * Returns the names of a room's keys.
 *
 * @param database the number of the database. Keys are in it, but channels are shared by all
 *   databases of a server.
 */
export function keysOf(room: string, database = 0): RoomKeys {
  const prefix = `ph:{${tags[hash(room) % PARTITIONS]}}`;
  return {
    meta: `${prefix}:m:${room}`,
    log: `${prefix}:l:${room}`,
    ids: [`${prefix}:i0:${room}`, `${prefix}:i1:${room}`],
    moved: `${prefix}:x:${room}`,
    presence: `${prefix}:p:${room}`,
    channel: `${prefix}:c${database}:${room}`,
  };
}

/** Matches the key `meta` of every room. */
export const META_PATTERN = 'ph:{*}:m:*';

/** Returns the room of a key `meta`. */
export function roomOf(meta: string): string {
  return meta.slice(meta.indexOf(':m:') + 3);
}

/** Returns which of `shards` has a room: the same on every node. */
export function shardOf(room: string, shards: number): number {
  return (hash(room) >>> 8) % shards;
}

/** FNV-1a over UTF-16 code units, with the finalizer of MurmurHash3. */
function hash(text: string): number {
  let bits = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) bits = Math.imul(bits ^ text.charCodeAt(i), 0x01000193);
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

/** Returns a tag for each 256th part of Redis Cluster's slots, so that rooms spread evenly. */
function balancedTags(): readonly string[] {
  const found = new Array<string | undefined>(PARTITIONS);
  for (let missing = PARTITIONS, number = 0; missing > 0; number++) {
    const tag = number.toString(36);
    const part = Math.floor((crc16(tag) % SLOTS) / (SLOTS / PARTITIONS));
    if (found[part] !== undefined) continue;
    found[part] = tag;
    missing--;
  }
  return found as string[];
}

/** CRC-16/XMODEM, which Redis Cluster hashes keys with. */
function crc16(text: string): number {
  let crc = 0;
  for (let i = 0; i < text.length; i++) {
    crc ^= text.charCodeAt(i) << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    crc &= 0xffff;
  }
  return crc;
}
