import type { LogRecord } from '../../src/hub/log.ts';
import type { Change, Json, Message, Reaction } from '../../src/protocol/v1.ts';

/** A message as a client shows it. */
interface Shown {
  data: Json | undefined;
  reply: number | undefined;
  edited: number | undefined;
  deleted: boolean;
  /** In the order of their first users. */
  reactions: { readonly reaction: string; readonly users: string[] }[];
  changed: number;
}

type MessageFields = Omit<Message, 't' | 'room'>;

/**
 * One log as it was written: records by `seq`, from 1 on, none of which has a change folded into
 * it. Computes in the simplest way what clients may be sent of it.
 */
export class Truth {
  readonly #records: readonly LogRecord[];
  /** The changes of each message, oldest first. */
  readonly #changes = new Map<number, LogRecord[]>();
  #indexed = 0;

  /** @param records may grow. */
  constructor(records: readonly LogRecord[]) {
    this.#records = records;
  }

  get head(): number {
    return this.#records.length;
  }

  record(seq: number): LogRecord | undefined {
    return this.#records[seq - 1];
  }

  isMessage(seq: number): boolean {
    const record = this.record(seq);
    return record !== undefined && record.extra?.kind !== 'change';
  }

  /** Returns the `seq` of the last change of a message; 0 without one. */
  lastChange(seq: number, upTo = this.head): number {
    return this.#changesOf(seq, upTo).at(-1)?.seq ?? 0;
  }

  /** Returns the `seq` of the deletion of a message, if one is in the log up to `upTo`. */
  deletion(seq: number, upTo = this.head): number | undefined {
    return this.#changesOf(seq, upTo).find(({ extra }) => extra?.kind === 'change' && extra.op === 'delete')?.seq;
  }

  /** Whether a later edit or deletion has replaced an edit. */
  isReplaced(seq: number, upTo = this.head): boolean {
    const { extra } = this.record(seq) ?? {};
    if (extra?.kind !== 'change') return false;
    return this.#changesOf(extra.of, upTo).some(
      (later) =>
        later.seq > seq && later.extra?.kind === 'change' && (later.extra.op === 'edit' || later.extra.op === 'delete'),
    );
  }

  /** Whether a client that knows no changes may be sent nothing for a record. */
  isHidden(seq: number): boolean {
    const { extra } = this.record(seq) ?? {};
    if (extra?.kind !== 'change') return this.deletion(seq) !== undefined;
    return extra.op !== 'edit' || this.isReplaced(seq);
  }

  /** Whether such a client may be sent nothing for all records `from`…`to`. */
  areHidden(from: number, to: number): boolean {
    for (let seq = from; seq <= to; seq++) if (seq > this.head || !this.isHidden(seq)) return false;
    return true;
  }

  /** Returns what is wrong with a message as a client that knows changes is sent it. */
  checkMessage(message: MessageFields): string | undefined {
    const { seq, changed = 0 } = message;
    if (!this.isMessage(seq)) return `is no message but ${JSON.stringify(this.record(seq))}`;
    if (changed !== this.lastChange(seq, changed)) return `names a change ${changed} that it does not have`;
    const shown = this.shown(seq, changed);
    const wrong = difference(fieldsOf(this.record(seq) as LogRecord, shown), message);
    if (wrong === undefined || shown.edited === undefined || !this.isReplaced(shown.edited)) return wrong;
    // The text of its last edit is gone by now: it may have an earlier one.
    const earlier = [0, ...this.#changesOf(seq, changed).map((change) => change.seq)];
    const texts = earlier.map((at) => ({ ...shown, data: this.shown(seq, at).data }));
    const isEarlier = texts.some((each) => !difference(fieldsOf(this.record(seq) as LogRecord, each), message));
    return isEarlier ? undefined : wrong;
  }

  /** The same for one that knows none. */
  checkPlainMessage(message: MessageFields): string | undefined {
    const record = this.record(message.seq);
    if (record?.extra?.kind !== 'change') return message.deleted ? 'is deleted' : this.checkMessage(message);
    if (record.extra.op !== 'edit') return `is a change: ${JSON.stringify(record)}`;
    const { seq, id, from, at } = record;
    return difference({ seq, id, from, at, data: editedData(record) }, message);
  }

  /** Returns what is wrong with a change as a client is sent it. */
  checkChange({ t: _, room: __, ...change }: Change): string | undefined {
    const record = this.record(change.seq);
    if (record?.extra?.kind !== 'change') return `is no change but ${JSON.stringify(record)}`;
    const { seq, id, from, at, data, extra } = record;
    const isGone = change.data === undefined && this.isReplaced(seq);
    const own = extra.op === 'edit' ? (isGone ? {} : { data: dataOf(record) }) : {};
    const reaction = extra.op === 'react' || extra.op === 'unreact' ? { reaction: data } : {};
    return difference({ seq, id, from, at, op: extra.op, of: extra.of, ...own, ...reaction }, change);
  }

  /** Returns a text of a record that is gone by `upTo`, and which a message or a change has. */
  goneText(message: MessageFields | Change, upTo: number): string | undefined {
    const { seq, data } = message;
    if (data === undefined) return undefined;
    if (!this.isMessage(seq)) return this.isReplaced(seq, upTo) ? `was replaced before ${upTo}` : undefined;
    const deletion = this.deletion(seq, upTo);
    return deletion === undefined ? undefined : `was deleted at ${deletion}`;
  }

  /** Returns a message with its changes up to `upTo`. */
  shown(seq: number, upTo = this.head): Shown {
    const record = this.record(seq) as LogRecord;
    const reply = record.extra?.kind === 'message' ? record.extra.reply : undefined;
    const shown: Shown = { data: dataOf(record), reply, edited: undefined, deleted: false, reactions: [], changed: 0 };
    for (const change of this.#changesOf(seq, upTo)) {
      if (change.extra?.kind !== 'change') continue;
      const { op } = change.extra;
      apply(shown, {
        op,
        seq: change.seq,
        from: change.from,
        data: change.data === '' ? undefined : dataOf(change),
        reaction: change.data,
      });
    }
    return shown;
  }

  /**
   * Checks that no change is in the log that should not be: of another's message, of one that is no
   * message, or that was deleted before.
   */
  checkChanges(): string | undefined {
    for (const { seq, sender, extra } of this.#records) {
      if (extra?.kind !== 'change') continue;
      const target = this.record(extra.of);
      const where = `the ${extra.op} at ${seq} of ${extra.of}`;
      if (!target || extra.of >= seq || !this.isMessage(extra.of)) return `${where} changes no message`;
      if ((this.deletion(extra.of) ?? seq) < seq) return `${where} changes a message that was deleted before`;
      const isOwn = sender !== '' && target.sender === sender;
      if ((extra.op === 'edit' || extra.op === 'delete') && !isOwn) return `${where} changes another's message`;
    }
    return undefined;
  }

  #changesOf(seq: number, upTo: number): readonly LogRecord[] {
    for (; this.#indexed < this.#records.length; this.#indexed++) {
      const record = this.#records[this.#indexed] as LogRecord;
      if (record.extra?.kind !== 'change') continue;
      const changes = this.#changes.get(record.extra.of);
      if (changes) changes.push(record);
      else this.#changes.set(record.extra.of, [record]);
    }
    const changes = this.#changes.get(seq) ?? NONE;
    return (changes.at(-1)?.seq ?? 0) <= upTo ? changes : changes.filter((change) => change.seq <= upTo);
  }
}

const NONE: readonly LogRecord[] = [];

/** A client's copies of the messages of a room, to which it applies changes. */
export class Copies {
  readonly #copies = new Map<number, Shown>();

  get size(): number {
    return this.#copies.size;
  }

  /** Takes a message as it was sent. */
  add({ seq, data, reply, edited, deleted, reactions = [], changed = 0 }: MessageFields): void {
    if ((this.#copies.get(seq)?.changed ?? 0) > changed) return;
    const shown = { data, reply, edited, deleted: deleted === true, changed };
    this.#copies.set(seq, { ...shown, reactions: reactions.map(usersOf) });
  }

  /** @returns whether it makes a difference. */
  apply({ seq, of, op, from, data, reaction = '' }: Change): boolean {
    const copy = this.#copies.get(of);
    if (!copy || seq <= copy.changed) return false;
    apply(copy, { seq, op, from, data, reaction });
    return true;
  }

  /** The client may have missed changes of what it has. */
  forget(): void {
    this.#copies.clear();
  }

  /** The log has lost what is after `end`. */
  cut(end: number): void {
    for (const [seq, { changed }] of this.#copies) if (seq > end || changed > end) this.#copies.delete(seq);
  }

  /** Returns how a copy differs from its message. */
  compare(truth: Truth): string | undefined {
    for (const [seq, copy] of this.#copies) {
      const shown = truth.shown(seq);
      if (!hasSameFields(copy, shown)) return `${seq} is shown as ${textOf(copy)} instead of ${textOf(shown)}`;
    }
    return undefined;
  }
}

interface Applied extends Pick<Change, 'seq' | 'op' | 'from'> {
  readonly data: Json | undefined;
  readonly reaction: string;
}

function apply(shown: Shown, { seq, op, from, data, reaction }: Applied): void {
  shown.changed = seq;
  if (op === 'edit') {
    shown.data = data;
    shown.edited = seq;
  } else if (op === 'delete') {
    shown.data = undefined;
    shown.edited = undefined;
    shown.deleted = true;
    shown.reactions = [];
  } else {
    const found = shown.reactions.find((each) => each.reaction === reaction);
    if (op === 'react' && !found) shown.reactions.push({ reaction, users: [from] });
    else if (op === 'react' && !found?.users.includes(from)) found?.users.push(from);
    else if (op === 'unreact' && found?.users.includes(from)) {
      found.users.splice(found.users.indexOf(from), 1);
      if (found.users.length === 0) shown.reactions.splice(shown.reactions.indexOf(found), 1);
    }
  }
}

function usersOf({ reaction, users }: Reaction) {
  return { reaction, users: [...users] };
}

function fieldsOf({ seq, id, from, at }: LogRecord, shown: Shown): MessageFields {
  const { data, reply, edited, deleted, reactions, changed } = shown;
  return {
    seq,
    id,
    from,
    at,
    ...(data !== undefined && { data }),
    ...(reply !== undefined && { reply }),
    ...(edited !== undefined && { edited }),
    ...(deleted && { deleted: true as const }),
    ...(reactions.length > 0 && {
      reactions: reactions.map(({ reaction, users }) => ({ reaction, count: users.length, users })),
    }),
    ...(changed > 0 && { changed }),
  };
}

function difference(expected: object, actual: object): string | undefined {
  if (hasSameFields(expected, actual)) return undefined;
  const sorted = (fields: object) => JSON.stringify(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
  if (sorted(expected) === sorted(actual)) return undefined;
  return `differs from the stored record ${JSON.stringify(expected)}`;
}

/** A quick test for the usual case. */
function hasSameFields(a: object, b: object): boolean {
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return keys.every((key) => Object.hasOwn(right, key) && isSameJson(left[key], right[key]));
}

function isSameJson(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object') return a === b;
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

function dataOf({ json, data }: LogRecord): Json {
  return json ? JSON.parse(data) : { text: data };
}

function editedData(record: LogRecord): Json {
  const data = dataOf(record);
  if (typeof data !== 'object' || data === null) return data;
  const { text } = data as { text?: Json };
  return typeof text === 'string' ? { ...data, text: `(edited) ${text}` } : data;
}

function textOf({ data, reply, edited, deleted, reactions, changed }: Shown): string {
  return JSON.stringify([data, reply, edited, deleted, reactions, changed]);
}
