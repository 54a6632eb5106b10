import { fileURLToPath } from 'node:url';
import type { RequiredCredential } from '../auth/authenticator.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { entityTag, notModified } from './entity-tag.ts';
import { LOGIN_PATH } from './login.ts';
import { checkOrigin, type Origins, parseOrigins } from './origin.ts';
import { answerProbe, type ServerState } from './probes.ts';
import { PUBLISH_PATH } from './publish.ts';
import { json, plainText } from './responses.ts';
import { INDEX_NAMES, staticFiles } from './static.ts';

/** Tells the built-in page which credential to ask for. */
const SIGN_IN_PATH = '/sign-in.json';

type Handler = (request: HttpRequest) => Promise<HttpResponse>;

export interface RouteOptions extends ServerState {
  /** The folder to serve at `/`; undefined for the built-in chat. */
  readonly web: string | undefined;
  /** Served at `/metrics`. @default nothing is */
  readonly metrics: { readonly contentType: string; text(): Promise<string> } | undefined;
  /** Rejects a plain request to the path of a wire. Returns undefined for other paths. */
  readonly rejectPlain: (request: HttpRequest) => Promise<HttpResponse> | undefined;
  readonly publish: Handler;
  /** Answers a request to the Server API. Returns undefined for other paths. */
  readonly api: (request: HttpRequest) => Promise<HttpResponse> | undefined;
  /** Reject other methods than POST at `/publish`, instead of serving the page. */
  readonly postOnly: boolean;
  readonly login: Handler;
  /** The credential that the built-in page asks for. */
  readonly requires: RequiredCredential;
  /** Treat a GET of `/login` as a login, instead of serving a file. */
  readonly loginByGet: boolean;
  /** Origins whose pages may post and sign in, besides this host's own. */
  readonly origins: Origins;
  /** Serve the page for unmatched paths. */
  readonly pageEverywhere: boolean;
}

/** The folder of the built chat. The path is the same from `src` and from `dist`. */
export const CHAT = fileURLToPath(new URL('../../dist/web', import.meta.url));

// The built-in page loads nothing from elsewhere and has no inline script. Custom pages may.
const CHAT_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; manifest-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
};

/**
 * Returns the handler of plain requests. As in gorilla's chat example, the page is at `/`, other
 * paths get 404, other methods 405.
 */
export function createRoutes(options: RouteOptions): Handler {
  const { web, metrics, rejectPlain, publish, api, postOnly, login, loginByGet, origins, requires } = options;
  const files = web === undefined ? chatFiles() : staticFiles(web);
  const page = createPages(files, options);
  parseOrigins(origins); // an invalid pattern fails the start, not a request
  return async (request) => {
    const { method, path } = request;
    const readable = method === 'GET' || method === 'HEAD';
    if (path === PUBLISH_PATH) {
      if (method === 'POST') return checkOrigin(request, origins) ?? publish(request);
      return postOnly ? plainText(405, 'Method Not Allowed', { Allow: 'POST' }) : page(request);
    }
    if (path === LOGIN_PATH && (!readable || loginByGet)) return checkOrigin(request, origins) ?? login(request);
    const probed = readable ? answerProbe(path, options) : undefined;
    if (probed) return probed;
    if (path === '/metrics' && readable && metrics) {
      return { status: 200, headers: { 'content-type': metrics.contentType }, body: await metrics.text() };
    }
    if (path === SIGN_IN_PATH && readable && web === undefined) return json({ asks: requires });
    return api(request) ?? rejectPlain(request) ?? page(request);
  };
}

/**
 * Serves the built-in chat. Names in `assets` contain a hash of the content, so caches may keep
 * those files forever.
 */
function chatFiles(): ReturnType<typeof staticFiles> {
  const page = staticFiles(CHAT, CHAT_HEADERS);
  const assets = staticFiles(CHAT, { ...CHAT_HEADERS, 'cache-control': 'public, max-age=31536000, immutable' });
  return (path, encoding) => (path.startsWith('/assets/') ? assets : page)(path, encoding);
}

function createPages(files: ReturnType<typeof staticFiles>, { web, pageEverywhere }: RouteOptions): Handler {
  const index = async (encoding: string) => {
    for (const name of INDEX_NAMES) {
      const file = await files(`/${name}`, encoding);
      if (file) return file;
    }
    return undefined;
  };
  const find = async (path: string, encoding: string) =>
    (await files(path, encoding)) ?? (pageEverywhere || path === '/' ? await index(encoding) : undefined);
  return async ({ method, path, header }) => {
    const [host, ifNoneMatch, encoding] = [header('host'), header('if-none-match'), header('accept-encoding')];
    const readable = method === 'GET' || method === 'HEAD';
    const file = await find(path, encoding);
    if (!file) return plainText(404, 'Not found');
    if (!readable && !pageEverywhere) return plainText(405, 'Method not allowed', { Allow: 'GET, HEAD' });
    const plain = web !== undefined && isHtml(file) ? await find(path, '') : undefined;
    const page = plain && isTemplate(plain) ? fillTemplate(plain, host) : file;
    return readable ? notModified(page, ifNoneMatch) : page;
  };
}

const HOST_FIELD = /\{\{\s*\.Host\s*\}\}/g;

function isHtml({ headers }: HttpResponse): boolean {
  return headers['content-type']?.startsWith('text/html') === true;
}

function isTemplate({ body }: HttpResponse): boolean {
  return Buffer.from(body).includes('.Host') && Buffer.from(body).toString().search(HOST_FIELD) !== -1;
}

/** Replaces `{{.Host}}` with the request's host, as Go's html/template does. */
function fillTemplate(file: HttpResponse, host: string): HttpResponse {
  const safeHost = host.replaceAll(/[^A-Za-z0-9.:[\]-]/g, '');
  const body = Buffer.from(file.body).toString().replace(HOST_FIELD, safeHost);
  return { ...file, headers: { ...file.headers, etag: entityTag(body, 'identity') }, body };
}
