import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

const KiB = 1024;

/** Bundles the client as its packages do. @returns its files by name. */
async function bundle(options: object = {}): Promise<Record<string, Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: ['web/sdk/index.ts'],
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    outdir: 'out',
    entryNames: 'sdk',
    chunkNames: 'sdk-[name]',
    ...options,
  });
  const files = outputFiles as readonly { readonly path: string; readonly contents: Uint8Array }[];
  return Object.fromEntries(files.map(({ path, contents }) => [basename(path), contents]));
}

const textOf = (file: Uint8Array | undefined) => Buffer.from(file ?? '').toString();
const gzipped = (file: Uint8Array | undefined) => gzipSync(textOf(file), { level: 9 }).byteLength;

test('what loads first takes at most 5,300 bytes gzipped, mitt included, the fallback 4 KiB and the report 512', async () => {
  const files = await bundle();
  expect(Object.keys(files).sort()).toEqual(['sdk-fallback.js', 'sdk-report.js', 'sdk.js']);
  expect(gzipped(files['sdk.js'])).toBeLessThanOrEqual(5_300);
  expect(gzipped(files['sdk-fallback.js'])).toBeLessThanOrEqual(4 * KiB);
  expect(gzipped(files['sdk-report.js'])).toBeLessThanOrEqual(512);
});

test('the fallback and the report are loaded only when they are needed, and import nothing of the other files', async () => {
  const files = await bundle();
  expect(textOf(files['sdk.js'])).not.toMatch(/(from|import) ?"/);
  expect(textOf(files['sdk.js'])).toContain('import("./sdk-fallback.js")');
  expect(textOf(files['sdk.js'])).toContain('import("./sdk-report.js")');
  expect(textOf(files['sdk-fallback.js'])).not.toMatch(/(from|import) ?"/);
  expect(textOf(files['sdk-report.js'])).not.toMatch(/(from|import) ?"/);
});

test('the bundle imports no package but mitt, and nothing of Node', async () => {
  const code = Object.values(await bundle({ packages: 'external', platform: 'browser' }))
    .map(textOf)
    .join('\n');
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
