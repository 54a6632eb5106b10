import { readFile, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { lookup } from 'mrmime';
import type { HttpResponse } from '../transport/transport.ts';

// Files are read into memory as a whole. Larger ones are not served.
const MAX_FILE_BYTES = 8 * 1024 * 1024;

/**
 * Serves the files of a folder, and nothing outside of it: no dot files, no `..`, no link that
 * leads outside.
 *
 * @param headers for each response.
 * @returns a function from a request's path to a response, or undefined for a missing file.
 */
export function staticFiles(folder: string, headers: Record<string, string> = {}) {
  return async (path: string): Promise<HttpResponse | undefined> => {
    const file = fileOf(folder, path);
    if (!file) return undefined;
    try {
      const [root, real] = await Promise.all([realpath(folder), realpath(file)]);
      const { size } = real.startsWith(root + sep) ? await stat(real) : { size: Number.POSITIVE_INFINITY };
      if (size > MAX_FILE_BYTES) return undefined;
      const body = await readFile(real);
      const type = lookup(file) ?? 'application/octet-stream';
      const charset = type.startsWith('text/') ? '; charset=utf-8' : '';
      const common = {
        'content-type': type + charset,
        'cache-control': 'no-cache',
        'x-content-type-options': 'nosniff',
      };
      return { status: 200, headers: { ...common, ...headers }, body };
    } catch {
      return undefined; // no such file, or a folder
    }
  };
}

/**
 * Returns the file in `folder` that a request's path names, or undefined for a path that could
 * leave the folder.
 */
function fileOf(folder: string, path: string): string | undefined {
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return undefined;
  }
  const segments = decoded.split('/').slice(1);
  if (segments.some((segment) => segment.startsWith('.') || /[\\\0:]/.test(segment))) return undefined;
  const named = segments.at(-1) === '' ? [...segments.slice(0, -1), 'index.html'] : segments;
  return named.includes('') ? undefined : join(folder, ...named);
}
