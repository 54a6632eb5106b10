import { SUBPROTOCOL } from '../protocol/v1.ts';
import type { HttpRequest } from '../transport/transport.ts';
import { blueprints } from '../wire/blueprints.ts';
import { coder, rawPublishing } from '../wire/coder.ts';
import { events } from '../wire/events.ts';
import { forRoom, goWebsockets, goWebsocketsBasic } from '../wire/go-websockets.ts';
import { gorilla } from '../wire/gorilla.ts';
import { namedPublishing, spread } from '../wire/spread.ts';
import { v1 } from '../wire/v1.ts';
import { type Publishing, type Wire, type WireLimits, type WireName, wireNames } from '../wire/wire.ts';
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

/** Selects the wire of a listener's requests, by path, query and subprotocol. */
export class WireSelector {
  readonly #wires: Wires;
  /** The wire of the listener, unless it is `auto`. */
  readonly pinned: Wire | undefined;

  constructor(wires: Wires, pinned: WireName | 'auto') {
    this.#wires = wires;
    this.pinned = pinned === 'auto' ? undefined : wires[pinned];
  }

  /** Returns the wire of a request, or undefined for a path without one. */
  select(request: HttpRequest): Wire | undefined {
    const { path } = request;
    const { v1, events, gorilla, coder, blueprints } = this.#wires;
    // The subprotocol takes precedence over the pinned wire, so that the built-in page works on
    // every listener.
    if (path === v1.path && offers(request, SUBPROTOCOL)) return v1;
    if (this.pinned?.path === path) return this.pinned;
    if (path === coder.path) return coder;
    if (path === blueprints.path) return blueprints;
    if (path !== gorilla.path) return undefined;
    return new URLSearchParams(request.query).has('otp') ? events : gorilla;
  }

  /** How clients of this listener publish over HTTP. */
  get publishing(): Publishing {
    return this.pinned?.publishing ?? anyPublishing;
  }
}

/**
 * Selects by content type: JSON names a room or comes from spread's clients; any other body is the
 * message itself.
 */
const anyPublishing: Publishing = {
  ...rawPublishing,
  read: (body, type) => forRoom(body, type) ?? (isJson(type) ? namedPublishing : rawPublishing).read(body, type),
};

function isJson(type: string): boolean {
  return /^application\/json\b/i.test(type);
}
