import { type AdminOptions, createAdmin } from '../admin/application.ts';
import type { Keys } from '../auth/keys.ts';
import { ConfigError } from '../config/error.ts';
import { isLocalHost } from '../config/local-host.ts';
import type { Settings } from '../config/settings.ts';
import { wsTransport } from '../transport/ws.ts';
import { formatHost } from './attach.ts';

const LIMITS = { maxPayload: 1024, maxBackpressure: 1024 * 1024 };

/** The listener for operators. */
export interface AdminListener {
  readonly url: string;
  /** Shows viewers that the server drains. */
  showDrain(): Promise<void>;
  /** Ends all of its connections. */
  close(): void;
}

/**
 * Starts the listener for operators that the settings name. It runs on Node's own HTTP server,
 * whatever the transport of the clients.
 *
 * @returns undefined where the settings name none.
 * @throws ConfigError if it cannot listen there.
 */
export async function listenForAdmin(
  { adminListen }: Settings,
  keys: Keys,
  options: Omit<AdminOptions, 'checkKey'>,
): Promise<AdminListener | undefined> {
  if (adminListen === undefined) return undefined;
  const { host, port } = adminListen;
  const checkKey = isLocalHost(host) ? undefined : (authorization: string) => keys.check(authorization);
  const transport = wsTransport(createAdmin({ ...options, checkKey }), LIMITS);
  try {
    const actual = await transport.listen(host, port);
    const close = () => {
      options.snapshots.close();
      transport.terminate();
    };
    return { url: `http://${formatHost(host)}:${actual}`, showDrain: () => options.snapshots.refresh(), close };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be listened on (${code ?? message})`;
    throw new ConfigError(`adminListen: ${formatHost(host)}:${port} ${why}`);
  }
}
