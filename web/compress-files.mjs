import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';

/**
 * Writes each file of a page compressed, too, as the server sends it: `x.br` and `x.gz` beside `x`.
 * A file that compression does not make smaller gets none.
 *
 * @returns {import('vite').Plugin}
 */
export function compressFiles() {
  return {
    name: 'compress-files',
    apply: 'build',
    writeBundle({ dir = '' }, bundle) {
      for (const file of Object.keys(bundle).map((name) => join(dir, name))) {
        const content = readFileSync(file);
        const compressed = { br: brotliCompressSync(content), gz: gzipSync(content, { level: 9 }) };
        for (const [ending, bytes] of Object.entries(compressed)) {
          if (bytes.length < content.length) writeFileSync(`${file}.${ending}`, bytes);
        }
      }
    },
  };
}
