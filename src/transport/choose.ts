import type { Transport, TransportFactory } from './transport.ts';
import { loadUws } from './uws.ts';
import { wsTransport } from './ws.ts';

export interface TransportChoice {
  readonly name: Transport['name'];
  readonly factory: TransportFactory;
  /** A log line when `auto` falls back to ws. */
  readonly note?: string;
}

/**
 * Returns the transport by its name. `auto` is uWebSockets.js where its binary loads, and ws
 * elsewhere.
 *
 * @throws Error with a one-line message when `uws` is requested but unavailable.
 */
export function chooseTransport(name: 'auto' | Transport['name'], load: typeof loadUws = loadUws): TransportChoice {
  if (name === 'ws') return { name: 'ws', factory: wsTransport };
  const uws = load();
  if (uws.kind === 'loaded') return { name: 'uws', factory: uws.factory };
  if (name === 'uws') throw new Error(`the transport uws is unavailable: ${uws.reason}; use auto or ws`);
  return {
    name: 'ws',
    factory: wsTransport,
    note: `uWebSockets.js is unavailable (${uws.reason}); using ws`,
  };
}
