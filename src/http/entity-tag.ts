import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import type { HttpResponse } from '../transport/transport.ts';
import type { Encoding } from './encoding.ts';

/** Returns a strong ETag: the hash of the bytes that are sent, and their encoding. */
export function entityTag(body: string | Uint8Array, encoding: Encoding): string {
  const hash = createHash('sha256').update(body).digest('base64url').slice(0, 22);
  return encoding === 'identity' ? `"${hash}"` : `"${hash}-${encoding}"`;
}

const MAX_TAGS = 1_000;

// A file that changes twice within a tick of the file system's clock keeps its version.
const SETTLED_MS = 2_000;

/** The ETags of files, so that an unchanged file is hashed once. */
export class EntityTags {
  /** By path. */
  readonly #tags = new Map<string, { readonly version: string; readonly tag: string }>();

  /** @param stats of the file, read before its content. */
  of(path: string, { ino, size, mtimeMs, ctimeMs }: Stats, content: Uint8Array, encoding: Encoding): string {
    const version = [ino, size, mtimeMs, ctimeMs].join('-');
    const remembered = this.#tags.get(path);
    if (remembered?.version === version) return remembered.tag;
    const tag = entityTag(content, encoding);
    if (this.#tags.size >= MAX_TAGS) this.#tags.clear();
    if (Date.now() - ctimeMs > SETTLED_MS) this.#tags.set(path, { version, tag });
    return tag;
  }
}

// The headers that a 304 repeats (RFC 9110, 15.4.5).
const REPEATED = ['etag', 'cache-control', 'vary'];

/** Returns 304 instead of a response that the client has already, by its If-None-Match. */
export function notModified(response: HttpResponse, ifNoneMatch: string): HttpResponse {
  const { etag } = response.headers;
  if (response.status !== 200 || etag === undefined || !matches(ifNoneMatch, etag)) return response;
  const headers = Object.entries(response.headers).filter(([name]) => REPEATED.includes(name));
  return { status: 304, headers: Object.fromEntries(headers), body: '' };
}

/** Compares weakly, as RFC 9110 demands: a proxy that encodes a body may have weakened its tag. */
function matches(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch.trim() === '*') return true;
  const tags: readonly string[] = ifNoneMatch.match(/"[^"]*"/g) ?? [];
  return tags.includes(etag);
}
