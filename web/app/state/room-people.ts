import { batch, signal } from '@preact/signals';
import { fold } from './completion.ts';
import { TabLock } from './own-tabs.ts';
import { Authors, type Person, peopleOf } from './people.ts';
import { requiredCredential } from './sign-in.ts';
import { browserId } from './storage.ts';
import type { Entry, MessageEntry, PresenceChange } from './timeline.ts';

/** The members of a room, as the client library lists them. */
interface MemberList {
  /** A name for each connection; undefined in a room that is too large. */
  readonly members: readonly string[] | undefined;
  readonly count: number;
}

// A server restart disconnects every member. Within this time after a reconnect, the return of a
// member is not shown as a join.
const REJOIN_WINDOW_MS = 60_000;

/** The people of one room: its members, and the authors of its messages. */
export class RoomPeople {
  /** The people in the room; undefined in a room that is too large. */
  readonly people = signal<readonly Person[] | undefined>(undefined);
  readonly count = signal(0);
  /** The name under which this client is in the room. */
  user = '';
  readonly #room: { readonly name: string };
  readonly #authors = new Authors(browserId(), areNamesVerified);
  readonly #ownTabs = new TabLock();
  #list: MemberList | undefined;
  #members: readonly string[] | undefined;
  /** The members before the connection was lost. */
  #previousMembers: ReadonlySet<string> = new Set();
  #joinedAt = 0;
  /** The folded names that can be mentioned, of these people and entries. */
  #known: { people?: readonly Person[] | undefined; entries?: readonly Entry[]; names: ReadonlySet<string> } = {
    names: new Set(),
  };

  constructor(room: { readonly name: string }) {
    this.#room = room;
  }

  bind(list: MemberList): void {
    this.#list = list;
  }

  setUser(user: string): void {
    this.#authors.setUser(user);
    if (user !== this.user) this.#ownTabs.hold(this.#room.name, user);
    this.user = user;
  }

  /** Returns the author of a message. */
  readonly authorOf = (message: MessageEntry): Person => this.#authors.authorOf(message);

  /** Handles a join. */
  joined(): void {
    this.#previousMembers = new Set(this.#members);
    this.#joinedAt = performance.now();
    this.update();
  }

  /** Handles a presence event. Returns the users to show as joined and left. */
  presence(joined: readonly string[], left: readonly string[]): Pick<PresenceChange, 'joined' | 'left'> {
    const before = new Set(this.#members);
    const rejoining = performance.now() - this.#joinedAt < REJOIN_WINDOW_MS ? this.#previousMembers : new Set<string>();
    this.update();
    const after = new Set(this.#members);
    const isNews = (name: string) => name !== this.user && !rejoining.has(name) && before.has(name) !== after.has(name);
    return {
      joined: [...new Set(joined)].filter((name) => after.has(name) && isNews(name)),
      left: [...new Set(left)].filter((name) => !after.has(name) && isNews(name)),
    };
  }

  /** The names of the members, and of the authors of the entries, the latest first. */
  knownNames(entries: readonly Entry[]): string[] {
    const authors = entries.flatMap((entry) => (entry.kind === 'message' ? [entry.from] : []));
    return [...new Set([...authors.reverse(), ...(this.people.peek() ?? []).map(({ name }) => name)])];
  }

  /** Whether a folded name is that of a member, or of the author of an entry. */
  knows(folded: string, entries: readonly Entry[]): boolean {
    const people = this.people.peek();
    if (this.#known.people !== people || this.#known.entries !== entries) {
      this.#known = { people, entries, names: new Set([this.user, ...this.knownNames(entries)].map(fold)) };
    }
    return this.#known.names.has(folded);
  }

  leave(): void {
    this.#ownTabs.release();
  }

  /** Reads the members again. */
  update(): void {
    this.#members = this.#list?.members;
    // Only the tabs of this browser are known to belong to one person.
    const tabs = this.#members?.filter((name) => name === this.user).length ?? 0;
    if (tabs < 2) this.#updatePeople(1);
    else void this.#ownTabs.count().then((ownTabs) => this.#updatePeople(ownTabs));
  }

  #updatePeople(ownTabs: number): void {
    const members = this.#members;
    const people = members && peopleOf({ members, user: this.user, ownTabs, verified: areNamesVerified() });
    batch(() => {
      this.people.value = people;
      this.count.value = people?.length ?? this.#list?.count ?? 0;
    });
  }
}

/** Whether the server verifies names. */
function areNamesVerified(): boolean {
  return requiredCredential.value !== 'nothing';
}
