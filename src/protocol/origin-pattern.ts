/** A web origin. The host is in lower case and in Punycode, as a URL parser writes it. */
interface Origin {
  readonly scheme: string;
  readonly host: string;
  /** The port of the scheme, if the text has none. */
  readonly port: string;
}

/** The origins that one setting allows: one origin, or all origins below a host. */
export interface OriginPattern extends Origin {
  /** The labels of the host, from left to right. */
  readonly labels: readonly string[];
  /** One or more labels precede the host. */
  readonly subdomains: boolean;
}

type ParsedPattern =
  | ({ readonly kind: 'pattern' } & OriginPattern)
  | { readonly kind: 'invalid'; readonly reason: string };

const SERIALIZED_ORIGIN = /^(https?):\/\/(\[[\da-f:.]+\]|[a-z\d._-]+)(?::([1-9]\d{0,4}))?$/i;
const PORTS: Readonly<Record<string, string>> = { http: '80', https: '443' };

/**
 * Parses a serialized origin: scheme, host and perhaps a port, nothing else. The case of the first
 * two does not matter, and the default port may be named.
 *
 * @returns undefined for any other text, including `null` and hosts that a URL parser rewrites.
 */
export function parseOrigin(text: string): Origin | undefined {
  const name = SERIALIZED_ORIGIN.exec(text)?.[2]?.toLowerCase();
  if (name === undefined || !URL.canParse(text)) return undefined;
  const { protocol, hostname, port } = new URL(text);
  const hasEmptyLabel = hostname.replace(/\.$/, '').split('.').includes('');
  if (hostname !== name || hasEmptyLabel) return undefined;
  const scheme = protocol.slice(0, -1);
  return { scheme, host: hostname, port: port || (PORTS[scheme] as string) };
}

/** Parses an origin, or `https://*.chat.example` for all origins below a host. */
export function parseOriginPattern(text: string): ParsedPattern {
  const [, scheme = '', wildcard, rest = ''] = /^(https?):\/\/(\*\.)?(.*)$/is.exec(text) ?? [];
  const invalid = (reason: string) => ({ kind: 'invalid', reason }) as const;
  if (scheme === '') return invalid('does not start with https:// or http://');
  if (rest.includes('*')) return invalid('has a * elsewhere than in place of the first labels');
  if (rest.includes('@')) return invalid('has a user name');
  if (/[/?#\\]/.test(rest)) return invalid('has more than scheme, host and port');
  // The URL parser would remove control characters, and decode percent signs.
  const normalized = `${scheme}://${rest}`;
  const plain = !/[\p{C}\s%]/u.test(rest) && URL.canParse(normalized);
  const origin = plain ? parseOrigin(new URL(normalized).origin) : undefined;
  if (origin === undefined || origin.host.endsWith('.')) return invalid('has an invalid host or port');
  const isAddress = /^\[|^\d+\.\d+\.\d+\.\d+$/.test(origin.host);
  if (wildcard !== undefined && isAddress) return invalid('has a * before an address');
  return { kind: 'pattern', ...origin, labels: origin.host.split('.'), subdomains: wildcard !== undefined };
}

/** Reports whether a pattern allows an origin. */
export function allowsOrigin(pattern: OriginPattern, { scheme, host, port }: Origin): boolean {
  if (scheme !== pattern.scheme || port !== pattern.port) return false;
  if (!pattern.subdomains) return host === pattern.host;
  const labels = host.split('.');
  const above = labels.length - pattern.labels.length;
  return above > 0 && pattern.labels.every((label, i) => label === labels[above + i]);
}
