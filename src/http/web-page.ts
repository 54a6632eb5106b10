import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { WireName } from '../wire/wire.ts';
import { INDEX_NAMES } from './static.ts';

/** A listener's page, and the settings that the page depends on. */
export interface WebListener {
  /** The folder to serve at `/`; undefined for the built-in chat. */
  readonly web: string | undefined;
  readonly wire: WireName | 'auto';
  /** Undefined where the program listens. */
  readonly port?: number;
  /** Whether the listener has a certificate. Undefined where the program listens. */
  readonly tls?: boolean;
}

/** The wires of `/subscribe` whose pages cannot read another's frames. */
type PageWire = Extract<WireName, 'spread' | 'go-websockets'>;

const SUBSCRIBE_WIRES: ReadonlySet<string> = new Set(['coder', 'go-websockets', 'go-websockets-basic', 'spread']);

// A page and its scripts are read at the start. Bundles of other applications are skipped.
const MAX_SCRIPT_BYTES = 1024 * 1024;
const MAX_SCRIPTS = 16;

/**
 * Returns the wire that a folder's page needs at `/subscribe`, or undefined if its text does not
 * settle it.
 */
export function wireOfPage(web: string | undefined): PageWire | undefined {
  return web === undefined ? undefined : wireOfCode(codeOf(web));
}

/** Returns a line for each reason why a folder's page cannot work with the listener's settings. */
export function webWarnings({ web, wire, port, tls }: WebListener): string[] {
  if (web === undefined) return [];
  const code = codeOf(web);
  const page = `the page in ${JSON.stringify(web)}`;
  const warnings: string[] = [];
  const needed = wireOfCode(code);
  if (needed !== undefined && wire !== needed && SUBSCRIBE_WIRES.has(wire)) {
    warnings.push(`${page} needs --wire ${needed}, or auto; with --wire ${wire} it shows no messages`);
  }
  const fixed = /["'`](wss?:\/\/[\w.-]+(?::\d+)?)\/(?:ws|subscribe|room)\b/.exec(code)?.[1];
  if (fixed !== undefined && port !== undefined && port !== portOf(fixed)) {
    const { host, hostname } = new URL(fixed);
    const [scheme, flag] = [fixed.startsWith('wss') ? 'https' : 'http', `--port ${portOf(fixed)}`];
    const open = `serve it with ${flag} and open ${scheme}://${host}`;
    warnings.push(`${page} connects only to ${fixed}; ${open}${isLocal(hostname) ? '' : ', or edit it'}`);
  }
  const [plain, secure] = [/["'`]ws:\/\//.test(code), /["'`]wss:\/\//.test(code)];
  if (tls === false && secure && !plain) {
    warnings.push(`${page} connects with wss://; it needs --tls-cert and --tls-key, or a proxy with TLS in front`);
  }
  if (tls === true && plain && !secure) {
    warnings.push(`${page} connects with ws://, which browsers block on https; serve it without --tls-cert`);
  }
  const field = /\{\{\s*(\.(?!Host\s*\}\})[A-Z][\w.]*)\s*\}\}/.exec(code)?.[1];
  if (field !== undefined) {
    warnings.push(`${page} has the template field {{${field}}}, which stays as it is; only {{.Host}} is filled in`);
  }
  return warnings;
}

function wireOfCode(code: string): PageWire | undefined {
  if (!code.includes('/subscribe') || !code.includes('/publish') || !code.includes('JSON.parse')) return undefined;
  const postsNames = [...code.matchAll(/JSON\.stringify\(\s*\{([^{}]*)\}/g)].some(
    ([, object = '']) => hasKey(object, 'name') && hasKey(object, 'msg'),
  );
  const readsTypes = /\bmessageType\b/.test(code) && /\bcreated\b/.test(code);
  if (postsNames === readsTypes) return undefined; // neither, or a client of several servers
  return postsNames ? 'spread' : 'go-websockets';
}

function hasKey(object: string, key: string): boolean {
  return new RegExp(`(?:^|,)\\s*["']?${key}["']?\\s*(?:[:,]|$)`).test(object);
}

function portOf(address: string): number {
  const { port, protocol } = new URL(address);
  return port === '' ? (protocol === 'wss:' ? 443 : 80) : Number(port);
}

function isLocal(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '127.0.0.1';
}

/** Returns the text of a folder's page and of its scripts in the folder. */
function codeOf(web: string): string {
  const html = INDEX_NAMES.map((name) => read(join(web, name))).find((text) => text !== undefined) ?? '';
  const sources = [...html.matchAll(/<script\b[^>]*\ssrc\s*=\s*["']?([^"'\s>]+)/gi)].map(
    ([, source]) => source as string,
  );
  const scripts = sources.filter(isInFolder).slice(0, MAX_SCRIPTS);
  return [html, ...scripts.map((source) => read(join(web, source.replace(/[?#].*$/, ''))) ?? '')].join('\n');
}

/** Reports whether a script's address is a path below the page's folder. */
function isInFolder(source: string): boolean {
  return !/^(?:[a-z][a-z\d+.-]*:|\/\/)/i.test(source) && !source.split(/[\\/]/).includes('..');
}

function read(path: string): string | undefined {
  try {
    const stats = statSync(path);
    return stats.isFile() && stats.size <= MAX_SCRIPT_BYTES ? readFileSync(path, 'utf8') : undefined;
  } catch {
    return undefined; // no such file
  }
}
