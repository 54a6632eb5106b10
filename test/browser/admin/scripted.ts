import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ADMIN_PAGE } from '../../../src/admin/application.ts';
import { builtPage } from '../../../src/http/built-page.ts';
import type { Snapshot } from '../../../src/protocol/snapshot.ts';

/** An admin listener with the built page, and with snapshots that a test writes. */
export interface ScriptedServer {
  readonly url: string;
  /** Sends a snapshot to all viewers, and to those who come. */
  show(snapshot: Snapshot): void;
  /** Refuses the requests for snapshots with a status, or no more. */
  refuse(status: number | undefined): void;
  /** Cuts the streams. */
  disconnect(): void;
  close(): void;
}

export async function startScripted(): Promise<ScriptedServer> {
  const page = builtPage(ADMIN_PAGE);
  const viewers = new Set<ServerResponse>();
  let last: string | undefined;
  let refusal: number | undefined;
  const server = createServer(async ({ url = '/', headers }, response) => {
    if (url !== '/admin/v1/events') {
      const file = await page(url, String(headers['accept-encoding'] ?? ''));
      response.writeHead(file?.status ?? 404, file?.headers).end(file?.body);
    } else if (refusal !== undefined) {
      response.writeHead(refusal).end();
    } else {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(last ?? ': waiting\n\n');
      viewers.add(response);
      response.on('close', () => viewers.delete(response));
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const disconnect = () => {
    for (const viewer of viewers) viewer.destroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    show(snapshot) {
      last = `event: snapshot\ndata: ${JSON.stringify(snapshot)}\n\n`;
      for (const viewer of viewers) viewer.write(last);
    },
    refuse(status) {
      refusal = status;
    },
    disconnect,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
