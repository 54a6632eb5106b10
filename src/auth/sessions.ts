import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** A session outlives its connections: it is the scope of message ids. */
export interface Session {
  readonly id: string;
  /** Name by which others know it. */
  readonly user: string;
  /** The secret with which a later connection resumes this session. */
  readonly resume: string;
}

/** Creates sessions and recognizes their tokens by a signature, so it keeps no list of them. */
export class Sessions {
  readonly #secret: Uint8Array;

  /** @param secret signs the tokens. With the same secret, sessions survive a restart. */
  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  /**
   * Returns the sessions of one way to authenticate. A token of another way does not resume there:
   * its user may be a name that nobody verified.
   */
  of(authentication: string): Sessions {
    return new Sessions(createHmac('sha256', this.#secret).update(authentication).digest());
  }

  /** Creates a session. @param user a name of 1 to 64 bytes. @default a guest's name */
  create(user?: string): Session {
    const id = randomBytes(12).toString('base64url');
    return this.#session(id, user ?? `guest-${id.slice(0, 4)}`);
  }

  /** Returns the session of a token, or undefined unless this secret signed it. */
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
