import { staticFiles } from './static.ts';

// A page of ours loads nothing from elsewhere and has no inline script or style.
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; manifest-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
};

/**
 * Serves a page that Vite has built. Names in `assets` contain a hash of the content, so caches may
 * keep those files forever.
 */
export function builtPage(folder: string): ReturnType<typeof staticFiles> {
  const page = staticFiles(folder, HEADERS);
  const assets = staticFiles(folder, { ...HEADERS, 'cache-control': 'public, max-age=31536000, immutable' });
  return (path, encoding) => (path.startsWith('/assets/') ? assets : page)(path, encoding);
}
