import type { Notice } from '../hub/subscriber.ts';
import type { Close } from '../protocol/close-codes.ts';
import type { Authorizer } from './authorizer.ts';
import type { Verdict } from './lives.ts';
import type { RoomStart } from './read-pump.ts';

/** Everything about a client that its connection alone does not tell. */
export interface Identity {
  /** Name by which others know it. @default its id */
  readonly user?: string;
  /** Whether that name is authenticated. @default false */
  readonly isVerified?: boolean;
  /** Rooms that it joins when it opens. @default those of its wire */
  readonly rooms?: readonly string[];
  /**
   * Where it starts in them. It may join them: its `permission` has been asked.
   *
   * @default at their heads, if it may join them
   */
  readonly start?: RoomStart;
  /** The first notice that it gets. */
  readonly welcome?: Notice;
  /** Decides what this client may do, beside the authorizer of all clients. */
  readonly authorizer?: Authorizer;
  readonly term?: Term;
  /**
   * When the credential of this connection was issued, in milliseconds since 1970.
   *
   * @default 0: its age is unknown
   */
  readonly issued?: number;
  /**
   * Called when its connection is open: an accepted handshake may be gone before that.
   *
   * @returns why it must be closed at once, or undefined.
   */
  readonly onOpen?: () => Close | undefined;
  /** How its handshake was accepted, for the record of its life. @default as a guest */
  readonly verdict?: Verdict;
  /** Its address. @default that of its socket */
  readonly address?: string;
}

/** How long a client may stay, and how it stays longer. */
export interface Term {
  /** By the Hub's clock, in milliseconds. */
  readonly until: number;
  /** Verifies a new token. @returns undefined for an invalid token. */
  readonly refresh: (token: string) => Promise<Renewal | undefined>;
}

/** A new token: when it was issued, in milliseconds since 1970, and the new end of the term. */
export interface Renewal {
  readonly issued: number;
  readonly until: number;
}
