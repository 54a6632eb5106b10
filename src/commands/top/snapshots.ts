import { ConfigError } from '../../config/error.ts';
import type { Snapshot } from '../../protocol/snapshot.ts';
import { type AdminServer, Disconnected, requestAdmin } from '../admin-client.ts';

// A server sends a snapshot each second.
const SILENCE_MS = 10_000;

/**
 * Reads the snapshots of a server as it sends them. Ends by an error only.
 *
 * @throws Disconnected, or another ConfigError with one line.
 */
export async function* readSnapshots(server: AdminServer): AsyncGenerator<Snapshot, never> {
  const abort = new AbortController();
  let silence = setTimeout(() => abort.abort(), SILENCE_MS);
  try {
    const response = await requestAdmin(server, '/admin/v1/events', 'text/event-stream', abort.signal);
    const texts = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream());
    let rest = '';
    for await (const text of texts) {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE_MS);
      const events = (rest + text).split('\n\n');
      rest = events.pop() as string;
      for (const event of events) {
        const data = /^event: snapshot\ndata: (.*)$/.exec(event)?.[1];
        if (data !== undefined) yield JSON.parse(data) as Snapshot;
      }
    }
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new Disconnected(`${server.url} does not send snapshots any more`);
  } finally {
    clearTimeout(silence);
    abort.abort();
  }
  throw new Disconnected(`${server.url} has closed the connection`);
}
