import { sharedPortProblem } from '../../src/config/shared-ports.ts';
import { loadUws } from '../../src/transport/uws.ts';

type TransportName = 'uws' | 'ws';

/** How many workers the servers of the tests have: those of the command read the variable, too. */
const WORKERS = Number(process.env['PUMPHOUSE_WORKERS'] ?? 1);

const available: readonly TransportName[] = loadUws().kind === 'loaded' ? ['uws', 'ws'] : ['ws'];
if (!available.includes('uws')) console.log('skipped: the suite on uws, which is unavailable here');

/** The transports that servers can have on this machine, for `describe.each`. */
export const transports: TransportName[] = available.filter(
  (transport) => WORKERS === 1 || sharedPortProblem(transport) === undefined,
);

/** A transport, and how many workers serve on it. */
export interface Variant {
  readonly name: string;
  readonly transport: TransportName;
  readonly workers: number;
}

/** The variants of a server in the test's own thread, for `describe.each`. */
export const variants: readonly Variant[] = transports.map((transport) => ({
  name: WORKERS === 1 ? transport : `${transport}, ${WORKERS} workers`,
  transport,
  workers: WORKERS,
}));

/** The variant of tests that run on one transport. */
export const variant = variants[0] as Variant;
