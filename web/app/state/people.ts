/** A person in a room, as others can tell them apart. */
export interface Person {
  readonly name: string;
  /** Tells people of the same name apart: 1 for the first of them. */
  readonly number: number;
  /** Whether it is the user of this browser. */
  readonly own: boolean;
}

/** A message, as far as it identifies its author. */
interface Authored {
  readonly from: string;
  readonly id: string;
}

// The ids of messages from the chat start with that of the browser.
const BROWSER = /^[a-z\d]{10}(?=\.)/;

/**
 * Tells the authors of messages apart. Where the server verifies names, a name is a person. On an
 * open server anybody may take any name: there a person is a name in one browser.
 */
export class Authors {
  readonly #browser: string;
  readonly #verified: () => boolean;
  /** The browsers that have sent messages, by name, in the order of their numbers. */
  readonly #browsers = new Map<string, string[]>();
  #user = '';

  /** @param verified whether the server verifies names. */
  constructor(browser: string, verified: () => boolean) {
    this.#browser = browser;
    this.#verified = verified;
  }

  /** Sets the name of this browser's user. The user gets the first number of that name. */
  setUser(user: string): void {
    this.#user = user;
    const others = (this.#browsers.get(user) ?? []).filter((browser) => browser !== this.#browser);
    this.#browsers.set(user, [this.#browser, ...others]);
  }

  authorOf({ from, id }: Authored): Person {
    if (this.#verified()) return { name: from, number: 1, own: from === this.#user };
    const browser = BROWSER.exec(id)?.[0] ?? '';
    return { name: from, number: this.#numberOf(from, browser), own: browser === this.#browser };
  }

  #numberOf(name: string, browser: string): number {
    const browsers = this.#browsers.get(name);
    if (!browsers) this.#browsers.set(name, [browser]);
    const index = browsers?.indexOf(browser) ?? 0;
    return index < 0 ? (browsers?.push(browser) ?? 1) : index + 1;
  }
}

/** The members of a room, as the server and this browser report them. */
interface Membership {
  /** The names of the members, one for each connection. */
  readonly members: readonly string[];
  readonly user: string;
  /** How many tabs of this browser are in the room under the user's name. */
  readonly ownTabs: number;
  /** Whether the server verifies names, so that a name is a person. */
  readonly verified: boolean;
}

/** Returns the people in a room, sorted by name. This user is among them, joined or about to. */
export function peopleOf({ members, user, ownTabs, verified }: Membership): Person[] {
  const counts = new Map([[user, 0]]);
  for (const name of members) counts.set(name, (counts.get(name) ?? 0) + 1);
  counts.set(user, Math.max(1, (counts.get(user) ?? 0) - ownTabs + 1));
  return [...counts]
    .sort(([a], [b]) => a.localeCompare(b))
    .flatMap(([name, count]) =>
      Array.from({ length: verified ? 1 : count }, (_, index) => ({
        name,
        number: index + 1,
        own: name === user && index === 0,
      })),
    );
}

/** Returns the name of a person, with a number if there are others of that name: "tim (2)". */
export function personLabel({ name, number }: Person): string {
  return number > 1 ? `${name} (${number})` : name;
}
