import { type Authenticator, bearerProtocol } from '../auth/authenticator.ts';
import type { Sessions } from '../auth/sessions.ts';
import type { ClientContext } from '../client/client.ts';
import { checkOrigin, type Origins } from '../http/origin.ts';
import type { Admission } from '../http/publish.ts';
import type { NowOrLater } from '../protocol/now-or-later.ts';
import { SUBPROTOCOL } from '../protocol/v1.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import type { Wire } from '../wire/wire.ts';
import { refusalOf } from './handshake.ts';
import type { HookRunner } from './hooks.ts';
import { offers, resumeSecret } from './query.ts';
import { originRefusal, type Refusal, streamRefusal } from './refusal.ts';
import { type FirstRoom, type ReadMessages, resumeHeader } from './stream-request.ts';

/** How the clients of a listener authenticate, and what that gives them. */
export interface Access {
  readonly authenticator: Authenticator;
  /** The sessions that may resume here. */
  readonly sessions: Sessions;
  readonly context: ClientContext;
}

/** The parts of a handshake that are needed after the call in which the request is valid. */
export interface HandshakeRequest {
  readonly access: Access;
  readonly wire: Wire;
  readonly query: URLSearchParams;
  /** The subprotocol to select; empty for none. */
  readonly protocol: string;
  readonly address: string;
  /** The page's; empty unless a browser sent it. */
  readonly origin: string;
  /** The secret of the session to resume; empty for none. */
  readonly resume: string;
  /** Why it is no valid handshake. */
  readonly defect: Refusal | undefined;
  /** The room of a stream that has one. */
  readonly first?: FirstRoom | undefined;
  /** Whether the client cannot send a token later. */
  readonly isStream?: boolean;
  /** Calls the connect hook. */
  readonly connect: () => NowOrLater<Admission>;
  /** Whether its user is authenticated, or named by the hook. @default it is not known yet */
  readonly isVerified?: boolean;
}

/** A request for a stream over HTTP. */
export interface StreamRequest {
  readonly wire: Wire;
  readonly access: Access;
  /** The rejection of a malformed request, before its origin is checked. */
  readonly defect?: HttpResponse | undefined;
  /** The room of the stream. @default those of the client's messages */
  readonly first?: FirstRoom | undefined;
  /** The messages in the body. @default there are none */
  readonly messages?: Promise<ReadMessages>;
}

/**
 * The address of the server's own clients, wherever they connect from. They are counted apart, and
 * have no limit of an address.
 */
const INTERNAL_ADDRESS = 'canary';

export interface HandshakeReaderOptions {
  readonly hub: ClientContext['hub'];
  /** Origins whose pages may connect, besides this host's own. */
  readonly origins: Origins;
  /** Returns the client's address, which behind a proxy is not the connection's. */
  readonly addressOf: (request: HttpRequest) => string;
  /** Calls the connect hook. @default every handshake is admitted */
  readonly hookRunner?: HookRunner;
}

/** Reads handshakes, whose requests are valid only during the call. */
export class HandshakeReader {
  readonly #options: HandshakeReaderOptions;

  constructor(options: HandshakeReaderOptions) {
    this.#options = options;
  }

  /** Reads a WebSocket handshake. */
  read(request: HttpRequest, wire: Wire, access: Access): HandshakeRequest {
    const { hookRunner, origins, addressOf } = this.#options;
    const native = hasSessions(wire) && offers(request, SUBPROTOCOL);
    const query = new URLSearchParams(request.query);
    const { isInternal } = access.context;
    const address = isInternal ? INTERNAL_ADDRESS : addressOf(request);
    const admit = (): Admission => ({ kind: 'admitted' });
    return {
      access,
      wire,
      query,
      protocol: native ? SUBPROTOCOL : (bearerProtocol(request) ?? ''),
      address,
      origin: request.header('origin'),
      resume: hasSessions(wire) ? resumeSecret(request) || this.#resumeInUrl(query, address) : '',
      defect: refusalOf(request, wire.library, origins),
      // The hooks decide about clients of the program, not about the server's own.
      connect: isInternal ? admit : (hookRunner?.prepareConnect(request, address) ?? admit),
    };
  }

  /** Reads a request for a stream. */
  readStream(request: HttpRequest, { access, wire, defect, first }: StreamRequest): HandshakeRequest {
    const { hookRunner, origins, addressOf } = this.#options;
    const origin = request.header('origin');
    const address = addressOf(request);
    const rejection = checkOrigin(request, origins);
    const refusedOrigin = rejection && originRefusal(origin, rejection);
    return {
      access,
      wire,
      query: new URLSearchParams(request.query),
      protocol: '',
      address,
      origin,
      resume: hasSessions(wire) ? resumeHeader(request) : '',
      defect: defect ? streamRefusal(defect) : refusedOrigin,
      first,
      isStream: true,
      connect: hookRunner?.prepareConnect(request, address) ?? (() => ({ kind: 'admitted' })),
    };
  }

  /** Reads the secret where older clients send it: URLs end up in logs. */
  #resumeInUrl(query: URLSearchParams, remoteAddress: string): string {
    const resume = query.get('resume') ?? '';
    const names = { feature: '?resume=SECRET in the URL', instead: 'the subprotocol resume.SECRET' };
    if (resume !== '') this.#options.hub.events.emit('deprecated', { ...names, remoteAddress });
    return resume;
  }
}

/** Reports whether a wire can tell its clients their session. */
export function hasSessions(wire: Wire): boolean {
  return wire.notices.has('welcome');
}
