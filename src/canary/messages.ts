import type { OwnCertificate } from './tapped-socket.ts';

/** What a canary's thread is started with. */
export interface CanaryStart {
  /** How many clients it has. */
  readonly clients: number;
  readonly url: string;
  readonly room: string;
  /** Signs the tokens of its clients. */
  readonly key: Uint8Array;
  readonly memory: SharedArrayBuffer;
  readonly certificate?: OwnCertificate | undefined;
}

/** What the thread reports: all of its clients are members, or why one is not. */
export type CanaryReport = { readonly kind: 'up' } | { readonly kind: 'down'; readonly why: string };
