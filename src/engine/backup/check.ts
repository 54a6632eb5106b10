import { type BlockKey, type Counts, isRecord, type RoomLine } from './format.ts';

// A damaged file may have any number: a person reads a few.
const MAX_PROBLEMS = 100;

/** Checks rooms, each from its newest block back, and collects what is wrong. */
export class Check {
  readonly problems: string[] = [];
  readonly #counts = { rooms: 0, messages: 0, bytes: 0 };
  /** Problems that were found, also those not listed. */
  #found = 0;
  #room: RoomLine | undefined;
  #next: BlockKey | undefined;

  get counts(): Counts {
    return this.#counts;
  }

  get found(): number {
    return this.#found;
  }

  report(problem: string): void {
    this.#found++;
    if (this.problems.length < MAX_PROBLEMS) this.problems.push(problem);
  }

  /** Begins a room. */
  room(room: RoomLine): void {
    this.endRooms();
    this.#room = room;
    this.#next = undefined;
    this.#counts.rooms++;
  }

  /** Checks a block of the room: that before the ones so far. */
  block(key: BlockKey, lines: readonly Buffer[]): void {
    const [last, first, , start, end] = key;
    const room = JSON.stringify(this.#room?.room);
    const expected = this.#next ? this.#next[1] - 1 : this.#room?.last;
    if (expected !== undefined && last < expected) {
      this.report(`room ${room}: the messages ${last + 1} to ${expected} are missing`);
    } else if (last !== expected) {
      this.report(`room ${room}: the messages ${first} to ${last} are in the wrong place`);
    } else if (this.#next && end !== this.#next[3]) {
      this.report(`room ${room}: the sizes before and after message ${last} do not fit`);
    }
    this.#next = key;
    let bytes = 0;
    if (lines.length !== last - first + 1) {
      this.report(`room ${room}: the messages ${first} to ${last} are ${lines.length} lines`);
    }
    for (const [i, line] of lines.entries()) bytes += this.#record(line, first + i, room);
    if (bytes !== end - start) this.report(`room ${room}: the messages ${first} to ${last} have another size`);
    this.#counts.messages += lines.length;
    this.#counts.bytes += bytes;
  }

  /** Ends the last room. */
  endRooms(): void {
    if (this.#room && !this.#next) this.report(`room ${JSON.stringify(this.#room.room)} has no messages`);
    this.#room = undefined;
  }

  /** @returns the bytes of the record's data. */
  #record(line: Buffer, seq: number, room: string): number {
    const record = parse(line);
    if (!isRecord(record)) this.report(`room ${room}: message ${seq} cannot be read`);
    else if (record[0] !== seq) this.report(`room ${room}: message ${seq} has the number ${record[0]}`);
    return isRecord(record) ? record[7] : 0;
  }
}

function parse(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString());
  } catch {
    return undefined;
  }
}
