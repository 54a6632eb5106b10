import { createHash } from 'node:crypto';
import type { HttpResponse } from './transport.ts';

/** Most bytes of a request's address and headers together. */
export const MAX_HEADER_BYTES = 16 * 1024;

// The colors are those of the chat.
const STYLE = [
  ':root{color-scheme:light dark;--background:#f4f8f8;--text:#14282d;--muted:#4c6368;--accent:#0b6b78}',
  '@media(prefers-color-scheme:dark){:root{--background:#0c171a;--text:#e3eff0;--muted:#9db4b8;--accent:#63cfd0}}',
  'body{display:grid;min-height:100dvh;margin:0;place-content:center;padding:1.5rem;box-sizing:border-box;',
  'background:var(--background);color:var(--text);font:100%/1.5 system-ui,sans-serif;text-align:center}',
  'main{max-width:26rem}h1{margin:0;font-size:1.5rem}p{margin:.5rem 0 0;color:var(--muted)}a{color:var(--accent)}',
].join('');

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

export const NOT_FOUND_PAGE = page(
  404,
  'Page not found',
  'There is no page at this address.',
  '<p><a href="/">Go to the start page</a></p>',
);

const TOO_LARGE_PAGE = page(
  431,
  'Request headers too large',
  `The browser sent more than ${MAX_HEADER_BYTES / 1024} KiB of headers, probably cookies. Delete the cookies of this site and reload the page.`,
);

const TOO_LARGE: HttpResponse = {
  status: 431,
  headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' },
  body: 'Request Header Fields Too Large\n',
};

/** Returns the response to a request whose headers are over MAX_HEADER_BYTES. */
export function headersTooLarge(accept: string): HttpResponse {
  return acceptsHtml(accept) ? TOO_LARGE_PAGE : TOO_LARGE;
}

/** Reports whether an Accept header names HTML, as those of browsers do for a page. */
export function acceptsHtml(accept: string): boolean {
  return accept.split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    return type === 'text/html' && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}

function page(status: number, title: string, text: string, more = ''): HttpResponse {
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><style>${STYLE}</style>`;
  const body = `<main><h1>${title}</h1><p>${text}</p>${more}</main>`;
  return {
    status,
    headers: HEADERS,
    body: `<!doctype html><html lang="en"><head>${head}</head><body>${body}</body></html>\n`,
  };
}
