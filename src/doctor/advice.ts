import type { ProxyIdentity } from './proxy.ts';

/** What to change for one program: lines of its configuration, or a command. */
interface Change {
  readonly run?: readonly string[];
  readonly add?: readonly string[];
  readonly remove?: readonly string[];
}

/** What to change: a sentence, and the lines for each program that may need them. */
export interface Advice {
  readonly text: string;
  readonly nginx?: Change;
  readonly caddy?: Change;
  readonly pumphouse?: Change;
}

/** Leaves the lines out that are for another proxy than the one that answers. */
export function adviceFor({ kind }: ProxyIdentity, { nginx, caddy, ...rest }: Advice): Advice {
  return {
    ...rest,
    ...(nginx && kind !== 'caddy' && { nginx }),
    ...(caddy && kind !== 'nginx' && { caddy }),
  };
}

const ADDRESS = '127.0.0.1:8080';

/** Advice without lines. */
export function advise(text: string): Advice {
  return { text };
}

export const upgradeAdvice: Advice = {
  text: 'The proxy does not forward WebSocket handshakes.',
  nginx: {
    add: [
      'proxy_http_version 1.1;',
      'proxy_set_header Upgrade $http_upgrade;',
      'proxy_set_header Connection "upgrade";',
    ],
  },
  caddy: { add: [`reverse_proxy ${ADDRESS}`], remove: ['header_up -Upgrade', 'header_up -Connection'] },
};

export const http10Advice: Advice = {
  text: 'The proxy speaks HTTP/1.0 to Pumphouse, which needs HTTP/1.1.',
  nginx: { add: ['proxy_http_version 1.1;'] },
  caddy: { add: ['transport http {', '  versions 1.1', '}'] },
};

export const upstreamAdvice: Advice = {
  text: 'The proxy does not reach Pumphouse: start it, and compare its --host and --port with the address in the proxy.',
  nginx: { add: [`proxy_pass http://${ADDRESS};`] },
  caddy: { add: [`reverse_proxy ${ADDRESS}`] },
};

/** @param path where clients connect. */
export function routeAdvice(path: string): Advice {
  return {
    text: `The proxy sends ${path} elsewhere, or Pumphouse has no such path: its endpoint is /ws.`,
    nginx: { add: ['location / {', `  proxy_pass http://${ADDRESS};`, '}'] },
    caddy: { add: [`reverse_proxy ${ADDRESS}`] },
  };
}

export const subprotocolAdvice: Advice = {
  text: 'The header Sec-WebSocket-Protocol has to pass in both directions.',
  nginx: {
    add: ['proxy_set_header Sec-WebSocket-Protocol $http_sec_websocket_protocol;'],
    remove: ['proxy_hide_header Sec-WebSocket-Protocol;', 'proxy_set_header Sec-WebSocket-Protocol "";'],
  },
  caddy: { remove: ['header_up -Sec-WebSocket-Protocol', 'header_down -Sec-WebSocket-Protocol'] },
};

export const hostAdvice: Advice = {
  text: 'Pumphouse compares Origin with Host, which the proxy does not forward.',
  nginx: { add: ['proxy_set_header Host $http_host;'] },
  caddy: { add: ['header_up Host {hostport}'] },
};

/** @param origin of a page that may connect. */
export function originAdvice(origin: string): Advice {
  return {
    text: `Pumphouse does not allow pages of ${origin}.`,
    pumphouse: { run: [`pumphouse serve --origin ${origin}`] },
  };
}

export const foreignOriginAdvice: Advice = {
  text: 'Any page can connect as its visitor: the proxy removes or replaces the header Origin.',
  nginx: { add: ['proxy_set_header Origin $http_origin;', 'proxy_set_header Host $http_host;'] },
  caddy: { remove: ['header_up -Origin', 'header_up Origin …'] },
};

/**
 * @param proxy the address from which the proxy connects, as Pumphouse sees it.
 *
 * @param isForwarded whether the proxy forwards the addresses of its clients.
 */
export function trustAdvice(proxy: string, isForwarded: boolean): Advice {
  return {
    text: 'All clients share one address and its limits: Pumphouse does not trust the proxy (trustProxy).',
    pumphouse: { run: [`pumphouse serve --trust-proxy ${proxy}`] },
    ...(!isForwarded && { nginx: forwardedAdvice.nginx, caddy: forwardedAdvice.caddy }),
  };
}

export const forwardedAdvice = {
  text: 'All clients share one address and its limits: the proxy does not forward theirs.',
  nginx: { add: ['proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;'] },
  caddy: { remove: ['header_up -X-Forwarded-For'] },
} as const satisfies Advice;

/** For a chain of proxies of which Pumphouse trusts the last. */
export function chainAdvice(proxy: string): Advice {
  return {
    text: `${proxy} looks like another proxy: trust it as well (trustProxy), and let each proxy keep what it gets.`,
    pumphouse: { run: [`pumphouse serve --trust-proxy ${proxy}`] },
    nginx: { add: ['proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;'] },
    caddy: { add: ['servers {', `  trusted_proxies static ${proxy}`, '}'] },
  };
}

/** For connections that end before the first ping, which comes after 25 seconds. */
export const idleAdvice: Advice = {
  text: 'Connections must stay open for longer than the ping period of 25 seconds, 54 with other wires.',
  nginx: { add: ['proxy_read_timeout 90s;', 'proxy_send_timeout 90s;'] },
  caddy: { remove: ['read_timeout …', 'write_timeout …', 'stream_timeout …'] },
};

export const bufferingAdvice: Advice = {
  text: 'The proxy holds data back until its buffer is full.',
  nginx: {
    add: ['proxy_buffering off;', 'proxy_http_version 1.1;'],
    remove: ['proxy_ignore_headers X-Accel-Buffering;'],
  },
  caddy: { add: ['flush_interval -1'], remove: ['buffer_responses', 'response_buffers …'] },
};

export const compressionAdvice: Advice = {
  text: 'A compressed stream is held back until a block is full: streams of events must not be compressed.',
  nginx: { add: ['gzip off;'], remove: ['gzip_types text/event-stream;'] },
  caddy: { add: ['@compressible not path /api/v1/*', 'encode @compressible gzip'], remove: ['encode gzip'] },
};

export const certificateAdvice: Advice = {
  text: 'Clients reject this certificate. For one of your own, use --insecure, or NODE_EXTRA_CA_CERTS with its authority.',
  nginx: {
    add: ['ssl_certificate /etc/letsencrypt/live/NAME/fullchain.pem;', 'ssl_certificate_key …/privkey.pem;'],
  },
  caddy: { remove: ['tls internal'] },
};

export const renewalAdvice: Advice = {
  text: 'Renew the certificate, and let the proxy read it again.',
  nginx: { run: ['certbot renew && nginx -s reload'] },
  caddy: { run: ['caddy reload'] },
};

/** @param port of the target. */
export function addressAdvice(port: number, secure: boolean): Advice {
  return {
    text: 'Clients try such an address first and wait for it: let the proxy listen there, or remove its record.',
    nginx: { add: [`listen [::]:${port}${secure ? ' ssl' : ''};`] },
    caddy: { remove: ['bind …'] },
  };
}

export const redirectAdvice: Advice = {
  text: 'Pages at http:// connect without encryption: redirect them.',
  nginx: { add: ['return 301 https://$host$request_uri;'] },
  caddy: { remove: ['auto_https disable_redirects', 'auto_https off'] },
};

export const closeCodeAdvice: Advice = {
  text: 'Something in between ends WebSockets itself, so clients cannot know whether to come back. Let it pass frames through.',
  nginx: { add: [`proxy_pass http://${ADDRESS};`] },
  caddy: { add: [`reverse_proxy ${ADDRESS}`] },
};
