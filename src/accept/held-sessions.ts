import type { Client } from '../client/client.ts';
import type { Cluster } from '../hub/cluster.ts';
import type { Scheduler } from '../hub/time.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import type { NowOrLater } from '../protocol/now-or-later.ts';

/** The part of a cluster that decides which node holds a session. */
export type SessionClaims = Pick<Cluster, 'claim' | 'disclaim'>;

/** A handshake's hold on a session, from its claim until its connection is open. */
export interface Reservation {
  readonly session: string;
  /** Whether another node has taken the session over since. */
  lost: boolean;
}

// Longer than the lease of a node that has stopped.
const CLAIM_TIMEOUT_MS = 15_000;

// A connection whose posts are not decided by then is closed anyway. They stay accepted, so a
// client that sends them again gets a `sent` with `duplicate`.
const LET_GO_MS = 1_000;

/** Keeps one connection a session, on this node and among all nodes. */
export class HeldSessions {
  readonly #claims: SessionClaims;
  readonly #scheduler: Scheduler;
  /** The client that holds each session. */
  readonly #clients = new Map<string, Client>();
  /** By session. */
  readonly #reservations = new Map<string, Reservation[]>();
  /** Reservations whose claims are settled. */
  #unopened = new Set<Reservation>();

  constructor(claims: SessionClaims, scheduler: Scheduler) {
    this.#claims = claims;
    this.#scheduler = scheduler;
  }

  /**
   * Claims a session for a handshake that is answered as soon as it is claimed.
   *
   * @param isNew no other node can have it, so nothing is awaited. The cluster repeats a claim that
   *   fails when it reaches its store again.
   *
   * @returns undefined when the other nodes cannot be reached.
   */
  claim(session: string, isNew: boolean): NowOrLater<Reservation | undefined> {
    const reservation = { session, lost: false };
    this.#reserve(reservation);
    const claimed = this.#claims.claim(session);
    if (!(claimed instanceof Promise)) return this.#awaitOpening(reservation);
    if (isNew) {
      claimed.catch(() => {});
      return this.#awaitOpening(reservation);
    }
    return this.#inTime(claimed).then(
      () => this.#awaitOpening(reservation),
      () => {
        this.#cancel(reservation);
        return undefined;
      },
    );
  }

  /**
   * The connection of a reservation is open. The session's older connection may still seem open: it
   * must no longer receive or send.
   *
   * @returns why the connection must be closed, or undefined.
   */
  open(reservation: Reservation, client: Client): Close | undefined {
    if (!this.#remove(reservation)) return closes.unavailable;
    if (reservation.lost) return closes.replaced;
    this.#clients.get(reservation.session)?.end(closes.replaced);
    this.#clients.set(reservation.session, client);
    return undefined;
  }

  /** Returns the open connection of a session. */
  connectionOf(session: string): Client | undefined {
    const client = this.#clients.get(session);
    return client?.reading ? client : undefined;
  }

  /** A connection has closed. @param id of its client. */
  closed(id: string): void {
    if (this.#clients.get(id)?.state !== 'closed') return;
    this.#clients.delete(id);
    if (!this.#reservations.has(id)) this.#claims.disclaim(id);
  }

  /**
   * Another node takes a session over: handshakes that have claimed it are lost. Resolves when its
   * connection here has closed, after the posts that the Hub had accepted from it.
   */
  letGo(session: string): NowOrLater<void> {
    for (const reservation of this.#reservations.get(session) ?? []) reservation.lost = true;
    const client = this.#clients.get(session);
    if (client === undefined || client.closed) return undefined;
    return new Promise((resolve) => {
      const cancel = this.#scheduler.after(LET_GO_MS, () => client.end(closes.replaced));
      client.letGo(closes.replaced, () => {
        cancel();
        resolve();
      });
    });
  }

  #reserve(reservation: Reservation): void {
    const others = this.#reservations.get(reservation.session);
    if (others) others.push(reservation);
    else this.#reservations.set(reservation.session, [reservation]);
  }

  /**
   * A handshake is answered in the turn in which its claim is settled, and its connection is open
   * then. Otherwise the client has gone, or the handshake was refused after all.
   */
  #awaitOpening(reservation: Reservation): Reservation {
    if (this.#unopened.size === 0) this.#scheduler.soon(this.#cancelUnopened);
    this.#unopened.add(reservation);
    return reservation;
  }

  readonly #cancelUnopened = (): void => {
    const unopened = this.#unopened;
    this.#unopened = new Set();
    for (const reservation of unopened) this.#cancel(reservation);
  };

  #cancel(reservation: Reservation): void {
    const { session } = reservation;
    if (!this.#remove(reservation)) return;
    if (!this.#reservations.has(session) && !this.#clients.has(session)) this.#claims.disclaim(session);
  }

  /** @returns whether it was there. */
  #remove(reservation: Reservation): boolean {
    const { session } = reservation;
    const all = this.#reservations.get(session) ?? [];
    const rest = all.filter((each) => each !== reservation);
    if (rest.length > 0) this.#reservations.set(session, rest);
    else this.#reservations.delete(session);
    this.#unopened.delete(reservation);
    return rest.length < all.length;
  }

  #inTime(claimed: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const timeOut = () => reject(new Error(`no answer within ${CLAIM_TIMEOUT_MS} ms`));
      const cancel = this.#scheduler.after(CLAIM_TIMEOUT_MS, timeOut);
      claimed.then(resolve, reject).finally(cancel);
    });
  }
}
