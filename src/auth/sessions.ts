import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** A session outlives its connections: it is the scope of message ids. */
export interface Session {
  readonly id: string;
  /** Name by which others know it. */
  readonly user: string;
  /** The secret with which a later connection resumes this session. */
  readonly resume: string;
  /**
   * When the secret was issued, or the token that it rests on, in milliseconds since 1970; 0 if
   * that is unknown, as in those of earlier versions.
   */
  readonly issued: number;
}

/** Creates sessions and recognizes their tokens by a signature, so it keeps no list of them. */
export class Sessions {
  readonly #secret: Uint8Array;
  readonly #date: () => number;

  /**
   * @param secret signs the tokens. With the same secret, sessions survive a restart.
   *
   * @param date returns the time in milliseconds since 1970.
   */
  constructor(secret: Uint8Array, date: () => number = Date.now) {
    this.#secret = secret;
    this.#date = date;
  }

  /**
   * Returns the sessions of one way to authenticate. A token of another way does not resume there:
   * its user may be a name that nobody verified.
   */
  of(authentication: string): Sessions {
    return new Sessions(createHmac('sha256', this.#secret).update(authentication).digest(), this.#date);
  }

  /**
   * Creates a session.
   *
   * @param user a name of 1 to 64 bytes. @default a guest's name
   *
   * @param issued when the credential was issued that the secret rests on. @default now
   */
  create(user?: string, issued = this.#date()): Session {
    const id = randomBytes(12).toString('base64url');
    return this.#session(id, user ?? `guest-${id.slice(0, 4)}`, issued);
  }

  /** Returns the session of a token, or undefined unless this secret signed it. */
  resume(token: string): Session | undefined {
    const parts = token.split('.');
    const [id = '', user = '', time = ''] = parts;
    const issued = parts.length > LEGACY_PARTS ? Number.parseInt(time, 36) : 0;
    if (!Number.isSafeInteger(issued)) return undefined;
    const session = this.#session(id, Buffer.from(user, 'base64url').toString(), issued);
    const [ours, theirs] = [Buffer.from(session.resume), Buffer.from(token)];
    return ours.length === theirs.length && timingSafeEqual(ours, theirs) ? session : undefined;
  }

  /**
   * Returns a session with a new token: its user has presented another credential.
   *
   * @param issued when that was issued. @default now
   */
  renew({ id, user }: Session, issued = this.#date()): Session {
    return this.#session(id, user, issued);
  }

  #session(id: string, user: string, issued: number): Session {
    const name = Buffer.from(user).toString('base64url');
    const signed = issued === 0 ? `${id}.${name}` : `${id}.${name}.${issued.toString(36)}`;
    const signature = createHmac('sha256', this.#secret).update(signed).digest('base64url');
    return { id, user, resume: `${signed}.${signature}`, issued };
  }
}

// Tokens of version 0.1 before it had revocations: id, user and signature, without a time.
const LEGACY_PARTS = 3;
