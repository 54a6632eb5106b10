import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

const KiB = 1024;

async function bundle(options: object = {}) {
  const { outputFiles } = await build({
    entryPoints: ['web/sdk/index.ts'],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    ...options,
  });
  return (outputFiles as { contents: Uint8Array }[])[0]?.contents as Uint8Array;
}

test('the bundle takes at most 5 KiB gzipped, mitt included', async () => {
  expect(gzipSync(await bundle(), { level: 9 }).byteLength).toBeLessThanOrEqual(5 * KiB);
});

test('the bundle imports no package but mitt, and nothing of Node', async () => {
  const code = Buffer.from(await bundle({ packages: 'external', platform: 'browser' })).toString();
  const imported = [...code.matchAll(/from"([^"]+)"|import"([^"]+)"/g)].map(([, from, bare]) => from ?? bare);
  expect(imported).toEqual(['mitt']);
});

// A change of this snapshot is a change of the public API.
test('the public types match the snapshot', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-types-'));
  try {
    execFileSync(process.execPath, [
      'node_modules/typescript/bin/tsc',
      '-p',
      'web/sdk/tsconfig.build.json',
      '--outDir',
      folder,
    ]);
    const types = ['index', 'types'].map((name) => readFileSync(join(folder, `web/sdk/${name}.d.ts`), 'utf8'));
    await expect(types.join('\n')).toMatchFileSnapshot('client.d.ts.snap');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
