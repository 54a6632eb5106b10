// The part of the client library in use. The library is a bundle of its own, beside the server, so
// no import of TypeScript reaches it.

export type SdkState =
  | { readonly name: 'connecting' | 'live' | 'offline' | 'closed' }
  | { readonly name: 'reconnecting' | 'waiting' | 'refused'; readonly why: string };

export interface SdkRoom {
  send(data: unknown): Promise<number>;
  on(event: 'joined', handler: () => void): () => void;
  on(event: 'removed', handler: (error: Error) => void): () => void;
}

export interface SdkHub {
  readonly state: SdkState;
  on(event: 'state', handler: (state: SdkState) => void): () => void;
  on(event: 'error', handler: (error: Error) => void): () => void;
  join(room: string): SdkRoom;
  reconnect(): void;
  close(): void;
}

interface SdkOptions {
  readonly user: string;
  readonly token: () => string;
  readonly storage: false;
  readonly transport: 'websocket';
  readonly WebSocket: unknown;
}

/** The function `connect` of the client library. */
export type Connect = (url: string, options: SdkOptions) => SdkHub;

// From a checkout without a build, Node's flags load TypeScript.
const LIBRARY = new URL(import.meta.url.endsWith('.ts') ? '../../web/sdk/index.ts' : '../sdk.js', import.meta.url);

/** Loads the client library. Rejects where it is not built. */
export async function loadSdk(): Promise<Connect> {
  const library = (await import(LIBRARY.href)) as { readonly connect: Connect };
  return library.connect;
}
