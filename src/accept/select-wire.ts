import { SUBPROTOCOL } from '../protocol/v1.ts';
import type { HttpRequest } from '../transport/transport.ts';
import { blueprints } from '../wire/blueprints.ts';
import { coder, rawPublishing } from '../wire/coder.ts';
import { events } from '../wire/events.ts';
import { forRoom, goWebsockets, goWebsocketsBasic } from '../wire/go-websockets.ts';
import { gorilla } from '../wire/gorilla.ts';
import { namedPublishing, spread } from '../wire/spread.ts';
import { v1 } from '../wire/v1.ts';
import { type Publishing, type ReadPost, type Wire, type WireLimits, type WireName, wireNames } from '../wire/wire.ts';
import { offers } from './query.ts';

const factories = {
  v1,
  gorilla,
  coder,
  'go-websockets': goWebsockets,
  'go-websockets-basic': goWebsocketsBasic,
  spread,
  events,
  blueprints,
} satisfies Record<WireName, (limits?: Partial<WireLimits>) => Wire>;

/** One instance of each wire, for all listeners: clients of the same instance share its frames. */
export type Wires = Readonly<Record<WireName, Wire>>;

/** Creates the wires. @param limits override those of every wire. */
export function createWires(limits: Partial<WireLimits> = {}): Wires {
  return Object.fromEntries(wireNames.map((name) => [name, factories[name](limits)])) as Wires;
}

/** What a listener knows of its clients beside their requests. */
export interface SelectorOptions {
  /**
   * The wire of `/subscribe`, where a request does not select one.
   *
   * @default 'coder'
   */
  readonly subscribers?: WireName | undefined;
  /** Reports clients that need another wire, once. @default no reports */
  readonly warn?: (message: string) => void;
}

/** Selects the wire of a listener's requests, by path, query and subprotocol. */
export class WireSelector {
  readonly #wires: Wires;
  readonly #subscribers: Wire;
  readonly #warn: (message: string) => void;
  #warned = false;
  /** The wire of the listener, unless it is `auto`. */
  readonly pinned: Wire | undefined;

  constructor(wires: Wires, pinned: WireName | 'auto', { subscribers = 'coder', warn }: SelectorOptions = {}) {
    this.#wires = wires;
    this.#subscribers = wires[subscribers];
    this.#warn = warn ?? (() => {});
    this.pinned = pinned === 'auto' ? undefined : wires[pinned];
  }

  /** Returns the wire of a request, or undefined for a path without one. */
  select(request: HttpRequest): Wire | undefined {
    const { path } = request;
    const { v1, events, gorilla, blueprints } = this.#wires;
    // The subprotocol takes precedence over the pinned wire, so that the built-in page works on
    // every listener.
    if (path === v1.path && offers(request, SUBPROTOCOL)) return v1;
    if (this.pinned?.path === path) return this.pinned;
    if (path === this.#subscribers.path) return this.#subscribers;
    if (path === blueprints.path) return blueprints;
    if (path !== gorilla.path) return undefined;
    return new URLSearchParams(request.query).has('otp') ? events : gorilla;
  }

  /** How clients of this listener publish over HTTP. */
  get publishing(): Publishing {
    const { publishing = rawPublishing } = this.#subscribers;
    return this.pinned?.publishing ?? { ...publishing, read: (body, type) => this.#readAny(body, type) };
  }

  /**
   * Selects by content type: JSON names a room or comes from spread's clients; any other body is
   * the message itself.
   */
  #readAny(body: string, type: string): ReadPost {
    const post = forRoom(body, type);
    if (post) return post;
    if (!isJson(type)) return rawPublishing.read(body, type);
    const named = namedPublishing.read(body, type);
    if (named.kind === 'post') this.#warnOfNames();
    return named;
  }

  /** A page that posts names can show only frames with names, which other wires do not send. */
  #warnOfNames(): void {
    if (this.#warned || this.#subscribers.name === 'spread') return;
    this.#warned = true;
    this.#warn("a client posted spread's JSON; its page needs --wire spread");
  }
}

function isJson(type: string): boolean {
  return /^application\/json\b/i.test(type);
}
