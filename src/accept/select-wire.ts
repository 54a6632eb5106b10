import { SUBPROTOCOL } from '../protocol/v1.ts';
import type { HttpRequest } from '../transport/transport.ts';
import { blueprints } from '../wire/blueprints.ts';
import { coder, rawPublishing } from '../wire/coder.ts';
import { events } from '../wire/events.ts';
import { forRoom, goWebsockets, goWebsocketsBasic } from '../wire/go-websockets.ts';
import { gorilla } from '../wire/gorilla.ts';
import { namedPublishing, spread } from '../wire/spread.ts';
import { v1 } from '../wire/v1.ts';
import type { Publishing, Wire, WireLimits, WireName } from '../wire/wire.ts';
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

/** Every wire, once: clients that share one share its frames, wherever they came in. */
export type Wires = Readonly<Record<WireName, Wire>>;

/** @param limits of every wire, where they are not its own. */
export function createWires(limits: Partial<WireLimits> = {}): Wires {
  const made = Object.entries(factories).map(([name, create]) => [name, create(limits)]);
  return Object.fromEntries(made) as Wires;
}

/** Which wire a request of one listener speaks: as far as its address and headers tell, else the one that it is pinned to. */
export class WireSelector {
  readonly #wires: Wires;
  readonly pinned: Wire | undefined;

  constructor(wires: Wires, pinned: WireName | 'auto') {
    this.#wires = wires;
    this.pinned = pinned === 'auto' ? undefined : wires[pinned];
  }

  /** @returns undefined where nobody connects. */
  of(request: HttpRequest): Wire | undefined {
    const { path } = request;
    const { v1, events, gorilla, coder, blueprints } = this.#wires;
    // Who asks for the native protocol by its name means no other: the built-in page does, whatever the listener is pinned to.
    if (path === v1.path && offers(request, SUBPROTOCOL)) return v1;
    if (this.pinned?.path === path) return this.pinned;
    if (path === coder.path) return coder;
    if (path === blueprints.path) return blueprints;
    if (path !== gorilla.path) return undefined;
    return new URLSearchParams(request.query).has('otp') ? events : gorilla;
  }

  get publishing(): Publishing {
    return this.pinned?.publishing ?? anyPublishing;
  }
}

/** Tells by the body's type who posts: JSON is of spread's clients or for a room, everything else is the message itself. */
const anyPublishing: Publishing = {
  ...rawPublishing,
  read: (body, type) => forRoom(body, type) ?? (isJson(type) ? namedPublishing : rawPublishing).read(body, type),
};

function isJson(type: string): boolean {
  return /^application\/json\b/i.test(type);
}
