import type { Transport, TransportFactory } from './transport.ts';
import { loadUws } from './uws.ts';
import { wsTransport } from './ws.ts';

export interface TransportChoice {
  readonly name: Transport['name'];
  readonly factory: TransportFactory;
  /** What the log should say of it, when it is not what everyone expects. */
  readonly note?: string;
}

/**
 * uWebSockets.js wherever its binary loads, ws where it does not; or the one that is asked for.
 *
 * @throws Error with one clear line when uWebSockets.js is asked for and cannot be had.
 */
export function chooseTransport(wanted: 'auto' | Transport['name'], load: typeof loadUws = loadUws): TransportChoice {
  if (wanted === 'ws') return { name: 'ws', factory: wsTransport };
  const uws = load();
  if ('factory' in uws) return { name: 'uws', factory: uws.factory };
  if (wanted === 'uws') throw new Error(`the transport uws cannot be had: ${uws.unavailable}`);
  return {
    name: 'ws',
    factory: wsTransport,
    note: `uWebSockets.js cannot be had (${uws.unavailable}): serving with ws`,
  };
}
