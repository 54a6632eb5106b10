import { fileURLToPath } from 'node:url';
import type { Asks } from '../auth/authenticator.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { LOGIN_PATH } from './login.ts';
import { checkOrigin, type Origins } from './origin.ts';
import { PUBLISH_PATH } from './publish.ts';
import { json, plainText } from './responses.ts';
import { staticFiles } from './static.ts';

/** Where the built-in page learns how one signs in. */
const SIGN_IN_PATH = '/sign-in.json';

type Handler = (request: HttpRequest) => Promise<HttpResponse>;

/** What the routes need to know. */
export interface RouteOptions {
  /** The folder that is served; undefined for the built-in chat. */
  readonly web: string | undefined;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  /** Whether the server is on its way out. */
  readonly draining: () => boolean;
  /** What a request gets that is no handshake, where clients connect; undefined elsewhere. */
  readonly noHandshake: (request: HttpRequest) => Promise<HttpResponse> | undefined;
  readonly publish: Handler;
  /** Whether a request to publish that is no POST is refused; else it gets the page. */
  readonly postOnly: boolean;
  readonly login: Handler;
  /** What the built-in page must ask for. */
  readonly asks: Asks;
  /** Whether a GET of `/login` is a login too; else it may be a page. */
  readonly loginByGet: boolean;
  /** Whose pages may post and sign in. */
  readonly origins: Origins;
  /** Whether each path that is no other gets the page. */
  readonly pageEverywhere: boolean;
  /** Whether the page is a template: `{{.Host}}` stands for the host that it was asked of. */
  readonly template: boolean;
}

/** Where the built chat is, for the server's sources and for what is built of them alike. */
export const CHAT = fileURLToPath(new URL('../../dist/web', import.meta.url));

// The built-in page needs nothing from elsewhere and no inline script; what is in a folder of yours may.
const CHAT_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
};

/** Answers plain requests, as gorilla's chat does where it has an answer: the page at `/`, 404 elsewhere, 405 for other methods. */
export function createRoutes(options: RouteOptions): Handler {
  const { web, metrics, draining, noHandshake, publish, postOnly, login, loginByGet, origins, asks } = options;
  const files = web === undefined ? chatFiles() : staticFiles(web);
  const page = createPages(files, options);
  return async (request) => {
    const { method, path } = request;
    const readable = method === 'GET' || method === 'HEAD';
    if (path === PUBLISH_PATH) {
      if (method === 'POST') return checkOrigin(request, origins) ?? publish(request);
      return postOnly ? plainText(405, 'Method Not Allowed', { Allow: 'POST' }) : page(request);
    }
    if (path === LOGIN_PATH && (!readable || loginByGet)) return checkOrigin(request, origins) ?? login(request);
    if (path === '/healthz' && readable) return draining() ? plainText(503, 'draining') : plainText(200, 'ok');
    if (path === '/metrics' && readable) {
      return { status: 200, headers: { 'content-type': metrics.contentType }, body: await metrics.text() };
    }
    if (path === SIGN_IN_PATH && readable && web === undefined) return json({ asks });
    return noHandshake(request) ?? page(request);
  };
}

/** The chat's assets have names that change with what is in them: they may be kept for ever. */
function chatFiles(): ReturnType<typeof staticFiles> {
  const page = staticFiles(CHAT, CHAT_HEADERS);
  const assets = staticFiles(CHAT, { ...CHAT_HEADERS, 'cache-control': 'public, max-age=31536000, immutable' });
  return (path) => (path.startsWith('/assets/') ? assets : page)(path);
}

// Where a folder has no index.html: the chapters' page is called so.
const OTHER_INDEX = '/chat.html';

function createPages(files: ReturnType<typeof staticFiles>, { pageEverywhere, template }: RouteOptions): Handler {
  const index = async () => (await files('/')) ?? files(OTHER_INDEX);
  return async ({ method, path, header }) => {
    const host = header('host');
    const file = (await files(path)) ?? (pageEverywhere || path === '/' ? await index() : undefined);
    if (!file) return plainText(404, 'Not found');
    if (method !== 'GET' && !pageEverywhere) return plainText(405, 'Method not allowed', { Allow: 'GET' });
    return template && file.headers['content-type']?.startsWith('text/html') ? filled(file, host) : file;
  };
}

function filled(file: HttpResponse, host: string): HttpResponse {
  const safe = host.replaceAll(/[^A-Za-z0-9.:[\]-]/g, '');
  return { ...file, body: Buffer.from(file.body).toString().replaceAll('{{.Host}}', safe) };
}
