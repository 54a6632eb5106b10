import type { ChangeOp } from '../protocol/v1.ts';
import type { ChangeExtra, LogRecord, MessageExtra, Reacted } from './log.ts';

/** What a draft has beside the fields of an ordinary message. */
export type DraftExtra = ReplyDraft | ChangeDraft;

/** A message that replies to another. */
export interface ReplyDraft {
  readonly kind: 'message';
  readonly reply: number;
}

/** A change of an earlier message. The data is that of an edit, or the text of a reaction. */
export interface ChangeDraft {
  readonly kind: 'change';
  readonly op: ChangeOp;
  readonly of: number;
  /**
   * Whether the sender's user is authenticated: then it may edit and delete what any of its
   * sessions has sent. Otherwise the session alone may.
   */
  readonly byUser: boolean;
}

/** A draft as it is judged. */
interface JudgedDraft {
  readonly from: string;
  readonly sender?: string;
  readonly data: string;
  readonly extra?: DraftExtra;
}

/** Why a draft is not stored. Sent again, it is judged again. */
export type RefusalCode = (typeof refusalCodes)[number];

export const refusalCodes = ['not_found', 'forbidden', 'too_many_reactions'] as const;

/** Bounds of a message's reactions. */
const MAX_REACTIONS = 32;
const MAX_REACTED_USERS = 1000;

/** The senders of messages of programs start so. No session does: their ids have no colon. */
const API_SENDER = 'api:';

/** Some records of a log, which changes are folded into. */
export interface Folded {
  /** Returns a record, or undefined if it is not among them. */
  find(seq: number): LogRecord | undefined;
  /** Puts a record in the place of the one with its `seq`, which `find` has returned. */
  replace(record: LogRecord): void;
}

/** The consecutive records `first`…`head`. */
interface Run extends Folded {
  readonly first: number;
  readonly head: number;
  at(seq: number): LogRecord;
}

/**
 * Judges a draft at the end of a log.
 *
 * @param records all that are retained.
 * @returns why it is refused, or undefined.
 */
export function judge(draft: JudgedDraft, head: number, records: Pick<Folded, 'find'>): RefusalCode | undefined {
  const { extra } = draft;
  if (extra === undefined) return undefined;
  if (extra.kind === 'message') return extra.reply > head ? 'not_found' : undefined;
  const target = records.find(extra.of);
  if (target === undefined || !isChangeable(target)) return 'not_found';
  if (extra.op === 'edit' || extra.op === 'delete') return mayReplace(draft, extra, target) ? undefined : 'forbidden';
  if (extra.op === 'unreact') return undefined;
  return isFull(reactionsOf(target), draft) ? 'too_many_reactions' : undefined;
}

/** Returns the `extra` of a draft's record. */
export function recordExtra(extra: DraftExtra): MessageExtra | ChangeExtra {
  if (extra.kind === 'message') return { kind: 'message', reply: extra.reply };
  return { kind: 'change', op: extra.op, of: extra.of };
}

/**
 * Folds a record that was committed into those before it, if it is a change. Folding it once more
 * makes no difference.
 *
 * @returns the changed record, or undefined if it changes no record.
 */
export function foldInto(records: Folded, change: LogRecord): LogRecord | undefined {
  const { extra } = change;
  if (extra?.kind !== 'change') return undefined;
  const target = records.find(extra.of);
  if (target === undefined || !isChangeable(target) || change.seq <= (messageExtra(target)?.changed ?? 0)) {
    return undefined;
  }
  const folded = fold(target, change, extra);
  const edited = extra.op === 'edit' || extra.op === 'delete' ? messageExtra(target)?.edited : undefined;
  const edit = edited === undefined ? undefined : records.find(edited);
  if (edit?.extra?.kind === 'change' && edit.extra.of === target.seq) records.replace(withoutText(edit));
  records.replace(folded);
  return folded;
}

/** Whether the record is a message that is not deleted. */
function isChangeable({ extra }: LogRecord): boolean {
  return extra === undefined || (extra.kind === 'message' && extra.deleted === undefined);
}

function messageExtra({ extra }: LogRecord): MessageExtra | undefined {
  return extra?.kind === 'message' ? extra : undefined;
}

function reactionsOf(record: LogRecord): readonly Reacted[] {
  return messageExtra(record)?.reactions ?? [];
}

function mayReplace({ from, sender = '' }: JudgedDraft, { byUser }: ChangeDraft, target: LogRecord): boolean {
  if (sender === '' || target.sender === '') return false;
  return sender === target.sender || (byUser && from === target.from && !target.sender.startsWith(API_SENDER));
}

function isFull(reactions: readonly Reacted[], { from, data }: JudgedDraft): boolean {
  const users = reactions.find(([reaction]) => reaction === data)?.[1];
  if (users?.includes(from)) return false;
  if (users === undefined && reactions.length >= MAX_REACTIONS) return true;
  return reactions.reduce((sum, [, { length }]) => sum + length, 0) >= MAX_REACTED_USERS;
}

/** Returns the record with the change. Its `extra` has its fields in one order on every node. */
function fold(target: LogRecord, change: LogRecord, { op, replaced }: ChangeExtra): LogRecord {
  const { seq: changed, from, data, json } = change;
  const before = messageExtra(target);
  const reply = before?.reply === undefined ? {} : { reply: before.reply };
  if (op === 'delete') {
    return { ...target, data: '', json: false, extra: { kind: 'message', ...reply, changed, deleted: true } };
  }
  const edited = op === 'edit' ? changed : before?.edited;
  const reactions = op === 'edit' ? before?.reactions : reacted(before?.reactions ?? [], op, data, from);
  const extra: MessageExtra = {
    kind: 'message',
    ...reply,
    changed,
    ...(edited !== undefined && { edited }),
    ...(reactions !== undefined && reactions.length > 0 && { reactions }),
  };
  // The text of a replaced edit is gone. The one before it stays until the change that has replaced
  // the edit.
  return op === 'edit' && !replaced ? { ...target, data, json, extra } : { ...target, extra };
}

function reacted(reactions: readonly Reacted[], op: ChangeOp, reaction: string, user: string): readonly Reacted[] {
  const users = reactions.find(([each]) => each === reaction)?.[1];
  if (users === undefined) return op === 'react' ? [...reactions, [reaction, [user]]] : reactions;
  if (users.includes(user) === (op === 'react')) return reactions;
  const others = op === 'react' ? [...users, user] : users.filter((each) => each !== user);
  const changed = reactions.map((each): Reacted => (each[0] === reaction ? [reaction, others] : each));
  return changed.filter(([, { length }]) => length > 0);
}

/**
 * Folds a change into a run of records. Its message may be older than the first, or have the change
 * already, as one that was read later than the edits after it. The edits that the change replaces
 * lose their data all the same.
 */
export function foldIntoRun(records: Run, change: LogRecord): void {
  const { extra, seq } = change;
  if (extra?.kind !== 'change') return;
  if (extra.of >= records.first && foldInto(records, change) !== undefined) return;
  if (extra.op === 'edit' || extra.op === 'delete') {
    for (let at = records.first; at < seq && at <= records.head; at++) {
      const record = records.at(at);
      if (record.extra?.kind === 'change' && record.extra.op === 'edit' && record.extra.of === extra.of) {
        records.replace(withoutText(record));
      }
    }
  }
}

/** Returns consecutive records with changes that were committed while they were read. */
export function withChanges(records: readonly LogRecord[], changes: readonly LogRecord[]): readonly LogRecord[] {
  const [oldest] = records;
  if (oldest === undefined || changes.length === 0) return records;
  const { seq: first } = oldest;
  const folded = [...records];
  const run: Run = {
    first,
    head: first + records.length - 1,
    at: (seq) => folded[seq - first] as LogRecord,
    find: (seq) => folded[seq - first],
    replace: (record) => {
      folded[record.seq - first] = record;
    },
  };
  for (const change of changes) foldIntoRun(run, change);
  return folded;
}

function withoutText(edit: LogRecord): LogRecord {
  return { ...edit, data: '', json: false, extra: { ...(edit.extra as ChangeExtra), replaced: true } };
}

/** Whether the record had a text that is gone. */
export function hasLostText({ extra }: LogRecord): boolean {
  return extra?.kind === 'change' ? extra.replaced === true : extra?.deleted === true;
}

/** Returns the bytes of a record's own data, and about those of its reactions. */
export function sizeOf({ bytes, data, extra }: LogRecord): number {
  if (extra === undefined) return bytes;
  let size = Buffer.byteLength(data);
  if (extra.kind === 'change') return size;
  for (const [reaction, users] of extra.reactions ?? []) {
    size += 40 + Buffer.byteLength(reaction);
    for (const user of users.slice(0, SHOWN_USERS)) size += 3 + Buffer.byteLength(user);
  }
  return size;
}

/** How many users of a reaction clients are shown. */
export const SHOWN_USERS = 100;
