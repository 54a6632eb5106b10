import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type RequestOptions, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { freePort } from '../../bench/free-port.ts';
import { built } from '../server.ts';
import { ProgramProcess } from './program-process.ts';

/** Options of a connection to a proxy. */
export type ConnectOptions = Pick<RequestOptions, 'headers' | 'localAddress'>;

/** A proxy with TLS, at a port of localhost. */
export class TlsProxy {
  readonly #port: number;
  readonly #readAuthority: () => string;

  /** @param readAuthority returns the certificate of the authority, once the proxy serves. */
  constructor(port: number, readAuthority: () => string) {
    this.#port = port;
    this.#readAuthority = readAuthority;
  }

  get url(): string {
    return `https://localhost:${this.#port}`;
  }

  /** A WebSocket class that trusts the proxy's certificate. */
  get WebSocket(): new (
    url: string,
    protocols?: string[],
  ) => WebSocket {
    const options = this.#options();
    return class extends WebSocket {
      constructor(url: string, protocols?: string[]) {
        super(url, protocols, options);
      }
    };
  }

  /** A `fetch` that trusts the proxy's certificate. */
  get fetch(): typeof fetch {
    return (url, { method, headers, body, signal } = {}) =>
      new Promise((resolve, reject) => {
        const options = {
          ...this.#options(),
          method,
          headers: headers as Record<string, string>,
          signal: signal ?? undefined,
        };
        const outgoing = request(String(url), options as RequestOptions, (incoming) => {
          const { statusCode: status, headers } = incoming;
          const text = Object.entries(headers).map(([name, value]) => [name, String(value)] as [string, string]);
          resolve(new Response(Readable.toWeb(incoming) as ReadableStream, { status: status ?? 0, headers: text }));
        });
        outgoing.on('error', reject).end(body);
      });
  }

  /** Connects to `/ws`, without a subprotocol. */
  connect(options: ConnectOptions = {}): WebSocket {
    return new WebSocket(`${this.url.replace('https', 'wss')}/ws`, { ...this.#options(), ...options });
  }

  /** Returns the status of a GET. */
  status(path: string, options: ConnectOptions = {}): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const get = request(`${this.url}${path}`, { ...this.#options(), ...options, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      get.on('error', reject).end();
    });
  }

  #options() {
    return { ca: this.#readAuthority(), family: 4 };
  }
}

/** Starts a proxy in front of nodes on this machine. It is stopped when the test ends. */
export type StartProxy = (path: string, nodes: readonly number[], edit?: Edit) => Promise<TlsProxy>;

/** A change of the configuration. */
type Edit = (configuration: string) => string;

/** Runs the committed Caddyfile. Its environment variables name the site and the nodes. */
export const startCaddy: StartProxy = async (path, nodes, edit = same) => {
  const folder = temporaryFolder();
  const port = await freePort();
  // Without these options Caddy also listens on the ports 80 and 2019, and changes the system's
  // certificates.
  const options = '{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n';
  const file = join(folder, 'Caddyfile');
  writeFileSync(file, options + edit(readFileSync('deploy/Caddyfile', 'utf8')));
  const proxy = new TlsProxy(port, () => readFileSync(join(folder, 'caddy/pki/authorities/local/root.crt'), 'utf8'));
  await run(path, ['run', '--config', file, '--adapter', 'caddyfile'], proxy, {
    PUMPHOUSE_SITE: proxy.url,
    PUMPHOUSE_NODES: nodes.map((node) => `127.0.0.1:${node}`).join(' '),
    XDG_DATA_HOME: folder,
    XDG_CONFIG_HOME: folder,
  });
  return proxy;
};

let certificateFolder: string | undefined;

/** Returns a folder with a certificate, which all proxies of a process share. */
function certificate(): string {
  if (certificateFolder === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'pumphouse-certificate-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    execFileSync(process.execPath, [join(process.cwd(), ...built), 'gen-cert'], { cwd: folder, stdio: 'ignore' });
    certificateFolder = folder;
  }
  return certificateFolder;
}

/** Runs the committed site of nginx with other ports and certificates, and with a second node. */
export const startNginx: StartProxy = async (path, [node, second], edit = same) => {
  const folder = temporaryFolder();
  const [port, plainPort] = [await freePort(), await freePort()];
  cpSync(certificate(), folder, { recursive: true });
  const replacements = [
    ['listen 80;', `listen 127.0.0.1:${plainPort};`],
    ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
    ['/etc/ssl/chat.example.pem', join(folder, 'cert.pem')],
    ['/etc/ssl/private/chat.example.key', join(folder, 'key.pem')],
    ['127.0.0.1:8080', `127.0.0.1:${node}`],
    ...(second === undefined ? [] : [['# server 127.0.0.1:8081', `server 127.0.0.1:${second}`] as const]),
  ] as const;
  const site = replacements.reduce(
    (text, [from, to]) => replace(text, from, to),
    readFileSync('deploy/nginx.conf', 'utf8'),
  );
  writeFileSync(join(folder, 'site.conf'), edit(site));
  writeFileSync(join(folder, 'nginx.conf'), mainConfiguration(folder));
  const proxy = new TlsProxy(port, () => readFileSync(join(folder, 'cert.pem'), 'utf8'));
  await run(path, ['-c', join(folder, 'nginx.conf'), '-p', folder, '-e', 'stderr'], proxy);
  return proxy;
};

/** The configuration of nginx around the site. Its usual folders belong to root. */
function mainConfiguration(folder: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return [
    process.getuid?.() === 0 ? 'user root;' : '',
    'daemon off;',
    `pid ${folder}/nginx.pid;`,
    'error_log stderr warn;',
    'events {}',
    'http {',
    'access_log off;',
    ...temporary.map((name) => `${name}_temp_path ${folder}/${name};`),
    `include ${folder}/site.conf;`,
    '}',
  ].join('\n');
}

async function run(
  path: string,
  args: readonly string[],
  proxy: TlsProxy,
  env?: Record<string, string>,
): Promise<void> {
  const program = await ProgramProcess.start(path, args, async () => (await proxy.status('/')) === 200, env);
  onTestFinished(() => program.stop());
}

/** Replaces every occurrence. @throws Error if there is none: the file has changed. */
export function replace(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`the configuration does not contain ${JSON.stringify(from)}`);
  return text.replaceAll(from, to);
}

const same: Edit = (configuration) => configuration;

/** Creates a folder that is removed when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-deploy-'));
  mkdirSync(folder, { recursive: true });
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
