import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** Who a connection belongs to. Sends are told apart by the session, which outlives its connections. */
export interface Session {
  readonly id: string;
  /** What others know it by. */
  readonly user: string;
  /** The secret by which a later connection is this session again. */
  readonly resume: string;
}

/** Gives out sessions, and knows its own again by a signature: it keeps no list of them. */
export class Sessions {
  readonly #secret: Uint8Array;

  /** @param secret signs the tokens: the same one after a restart knows the sessions from before. */
  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  /** A new session. @param user a name of 1 to 64 bytes; a guest's unless given. */
  create(user?: string): Session {
    const id = randomBytes(12).toString('base64url');
    return this.#session(id, user ?? `guest-${id.slice(0, 4)}`);
  }

  /** @returns the session that the token was given out for, or undefined for one that is none of ours. */
  resume(token: string): Session | undefined {
    const [id = '', user = '', signature = ''] = token.split('.');
    const name = Buffer.from(user, 'base64url').toString();
    const session = this.#session(id, name);
    const [ours, theirs] = [Buffer.from(session.resume), Buffer.from(token)];
    return signature !== '' && ours.length === theirs.length && timingSafeEqual(ours, theirs) ? session : undefined;
  }

  #session(id: string, user: string): Session {
    const signed = `${id}.${Buffer.from(user).toString('base64url')}`;
    const signature = createHmac('sha256', this.#secret).update(signed).digest('base64url');
    return { id, user, resume: `${signed}.${signature}` };
  }
}
