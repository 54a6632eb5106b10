import type { Stats } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { lookup } from 'mrmime';
import type { HttpResponse } from '../transport/transport.ts';
import { ENDINGS, type Encoding, selectEncoding } from './encoding.ts';
import { EntityTags } from './entity-tag.ts';
import { plainText } from './responses.ts';

// Files are read into memory as a whole. Larger ones are not served.
const MAX_FILE_BYTES = 8 * 1024 * 1024;

/** Names of a folder's page, in order: Go's chats call theirs `chat.html` and `home.html`. */
export const INDEX_NAMES = ['index.html', 'chat.html', 'home.html'] as const;

interface File {
  /** Without links. */
  readonly path: string;
  readonly stats: Stats;
}

const VARY = { vary: 'Accept-Encoding' };

/**
 * Serves the files of a folder, and nothing outside of it: no dot files, no `..`, no link that
 * leads outside. A file `x.br` or `x.gz` is `x` compressed, and is sent to clients that accept it.
 *
 * @param headers for each response.
 * @returns a function from a request's path and Accept-Encoding to a response with an ETag, or
 * undefined for a missing file.
 */
export function staticFiles(folder: string, headers: Record<string, string> = {}) {
  const tags = new EntityTags();
  return async (path: string, acceptEncoding: string): Promise<HttpResponse | undefined> => {
    const name = nameOf(path);
    if (name === undefined) return undefined;
    const files = await findFiles(folder, name);
    if (!files.has('identity')) return undefined;
    const varies = files.size > 1 ? VARY : {};
    const encoding = selectEncoding(acceptEncoding, [...files.keys()]);
    if (encoding === undefined) return plainText(406, 'no acceptable encoding', varies);
    const file = files.get(encoding) as File;
    const body = await read(file);
    if (body === undefined) return undefined;
    const type = lookup(name) ?? 'application/octet-stream';
    const common = {
      'content-type': type.startsWith('text/') ? `${type}; charset=utf-8` : type,
      'cache-control': 'no-cache',
      'x-content-type-options': 'nosniff',
      etag: tags.of(file.path, file.stats, body, encoding),
    };
    const encoded = encoding === 'identity' ? {} : { 'content-encoding': encoding };
    return { status: 200, headers: { ...common, ...headers, ...varies, ...encoded }, body };
  };
}

/** Returns a file of the folder, and its compressed siblings. */
async function findFiles(folder: string, name: string): Promise<ReadonlyMap<Encoding, File>> {
  const files = new Map<Encoding, File>();
  const root = await realpath(folder).catch(() => undefined);
  if (root === undefined) return files;
  const find = async ([encoding, ending]: [Encoding, string]) => {
    const file = await findFile(root, name + ending);
    if (file) files.set(encoding, file);
  };
  await Promise.all((Object.entries(ENDINGS) as [Encoding, string][]).map(find));
  return files;
}

async function findFile(root: string, name: string): Promise<File | undefined> {
  try {
    const path = await realpath(join(root, name));
    if (!path.startsWith(root + sep)) return undefined;
    const stats = await stat(path);
    return stats.isFile() && stats.size <= MAX_FILE_BYTES ? { path, stats } : undefined;
  } catch {
    return undefined; // no such file
  }
}

async function read({ path }: File): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch {
    return undefined; // removed meanwhile, or not readable
  }
}

/**
 * Returns the file that a request's path names, relative to the folder, or undefined for a path
 * that could leave the folder.
 */
function nameOf(path: string): string | undefined {
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return undefined;
  }
  const segments = decoded.split('/').slice(1);
  if (segments.some((segment) => segment.startsWith('.') || /[\\\0:]/.test(segment))) return undefined;
  const named = segments.at(-1) === '' ? [...segments.slice(0, -1), 'index.html'] : segments;
  return named.includes('') ? undefined : join(...named);
}
