import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';
import { compressFiles } from '../compress-files.mjs';

// Newer emoji are missing in the fonts of many systems.
const MAX_EMOJI_VERSION = 15;
/** The group of skin tones and hair, which are parts of emoji. */
const COMPONENTS = 2;

interface EmojiData {
  readonly emoji: string;
  readonly group: number;
  readonly annotation: string;
  readonly shortcodes?: readonly string[];
  readonly tags?: readonly string[];
  readonly version: number;
}

/**
 * Provides `virtual:emoji`: a line for each emoji, with its group, name, short names and keywords,
 * separated by tabs.
 */
function emojiLines(): Plugin {
  const id = '\0virtual:emoji';
  return {
    name: 'emoji-lines',
    resolveId: (source) => (source === 'virtual:emoji' ? id : undefined),
    load(source) {
      if (source !== id) return undefined;
      const path = createRequire(import.meta.url).resolve('emoji-picker-element-data/en/github/data.json');
      const lines = (JSON.parse(readFileSync(path, 'utf8')) as EmojiData[])
        .filter(({ version, group }) => version <= MAX_EMOJI_VERSION && group !== COMPONENTS)
        .map(({ emoji, group, annotation, shortcodes = [], tags = [] }) =>
          [emoji, group, annotation, shortcodes.join(' '), tags.join(' ')].join('\t'),
        );
      return `export default ${JSON.stringify(lines.join('\n'))}`;
    },
  };
}

/**
 * Emits the service worker as `sw.js`. It stores the files that the page loads first, and the
 * others when they are used.
 */
function serviceWorker(): Plugin {
  return {
    name: 'service-worker',
    apply: 'build',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const files = new Set<string>();
        const add = (name: string) => {
          const chunk = bundle[name];
          if (chunk?.type !== 'chunk' || files.has(name)) return;
          files.add(name);
          for (const asset of [
            ...(chunk.viteMetadata?.importedCss ?? []),
            ...(chunk.viteMetadata?.importedAssets ?? []),
          ])
            files.add(asset);
          chunk.imports.forEach(add);
        };
        for (const [name, output] of Object.entries(bundle)) if (output.type === 'chunk' && output.isEntry) add(name);
        const names = [...files].sort();
        const page = bundle['index.html'];
        const version = createHash('sha256')
          .update(names.join())
          .update(page?.type === 'asset' ? page.source : '');
        const source = readFileSync(new URL('service-worker.js', import.meta.url), 'utf8')
          .replace('__VERSION__', version.digest('hex').slice(0, 12))
          .replace("['__FILES__']", JSON.stringify(names));
        this.emitFile({ type: 'asset', fileName: 'sw.js', source });
      },
    },
  };
}

/**
 * Builds the chat into `dist/web`, where the server looks for it. `npm run dev` serves the sources
 * instead and proxies `/ws` to a running server.
 */
export default defineConfig(({ command }) => ({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [emojiLines(), serviceWorker(), compressFiles()],
  // The built page calls `h`, which preact needs anyway, in place of the automatic JSX runtime.
  ...(command === 'build' && { oxc: { jsx: { runtime: 'classic', pragma: 'h', pragmaFrag: 'Fragment' } } }),
  define: { 'window.__PREACT_SIGNALS_DEVTOOLS__': 'undefined' },
  build: {
    outDir: fileURLToPath(new URL('../../dist/web', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    // Later parts are small and import little: only the styles that they need are listed.
    modulePreload: {
      polyfill: false,
      resolveDependencies: (_, files, { hostType }) =>
        hostType === 'html' ? files : files.filter((file) => file.endsWith('.css')),
    },
    reportCompressedSize: false,
    rolldownOptions: {
      transform: { inject: { h: ['preact', 'h'], Fragment: ['preact', 'Fragment'] } },
      output: {
        // The first script names the others, and a hash does not compress.
        chunkFileNames: 'assets/[name]-[hash:6].js',
        assetFileNames: 'assets/[name]-[hash:6][extname]',
        // The client library is a separate chunk: it changes less often than the page, and a test
        // checks its size separately. Its fallback and its report stay files that are loaded when
        // they are needed. Everything else that loads first is one chunk, also what later chunks
        // use.
        codeSplitting: {
          groups: [
            { name: 'client', test: /web\/sdk\/(?!fallback|report)|src\/protocol|node_modules\/mitt/ },
            { name: 'page', tags: ['$initial'] },
          ],
        },
      },
    },
  },
  server: { proxy: { '/ws': { target: 'ws://localhost:8080', ws: true } } },
}));
