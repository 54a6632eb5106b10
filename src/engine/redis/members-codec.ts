import type { Announcement, NodeMembers } from '../remote-members.ts';
import { MalformedError } from './record-codec.ts';

/** Encodes a node's members for its field. */
export function encodeMembers({ version, count, users }: NodeMembers): string {
  return JSON.stringify([version, count, users ?? null]);
}

/** @throws MalformedError */
export function decodeMembers(text: string): NodeMembers {
  const [version, count, users] = parse(text);
  const named = users === null ? undefined : users;
  if (!isCount(version) || !isCount(count) || !(named === undefined || isNames(named))) throw malformed();
  return { version, count, users: named };
}

export function encodeAnnouncement(announcement: Announcement): string {
  if (announcement.kind === 'all') return encodeMembers(announcement);
  const { version, count, joined, left } = announcement;
  return JSON.stringify([version, count, joined, left]);
}

/** @throws MalformedError */
export function decodeAnnouncement(text: string): Announcement {
  const fields = parse(text);
  if (fields.length < 4) return { kind: 'all', ...decodeMembers(text) };
  const [version, count, joined, left] = fields;
  if (!isCount(version) || !isCount(count) || !isNames(joined) || !isNames(left)) throw malformed();
  return { kind: 'changed', version, count, joined, left };
}

function parse(text: string): readonly unknown[] {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    throw malformed();
  }
  if (!Array.isArray(fields)) throw malformed();
  return fields;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string');
}

function malformed(): MalformedError {
  return new MalformedError('the members of a node are malformed');
}
