import { computed, signal } from '@preact/signals';
import type { Snapshot } from '../../../src/protocol/snapshot.ts';
import { EvictionAnnouncer } from './announcer.ts';
import { type Figures, figuresOf, hasRestarted, type Scope } from './figures.ts';
import { type Facts, type Health, judges, type PanelName } from './health.ts';
import { History } from './history.ts';

/** A snapshot, and what it says together with those before it. */
export interface Moment {
  readonly snapshot: Snapshot;
  readonly scope: Scope;
  /** Undefined while none of the scope's threads has answered. */
  readonly figures: Figures | undefined;
  readonly history: History;
  readonly healths: Readonly<Record<PanelName, Health>>;
}

/** What the page knows about the server. It owns the histories of all scopes. */
export class Board {
  /** The threads that the operator looks at. */
  readonly scope = signal<Scope>('all');
  readonly #latest = signal<Snapshot | undefined>(undefined);
  readonly #announcer = new EvictionAnnouncer();
  readonly #histories = new Map<Scope, History>();
  readonly #figures = new Map<Scope, Figures>();
  /** The snapshot that the next one continues. */
  #previous: Snapshot | undefined;
  /** The id of the last eviction that was announced or that happened before the page was opened. */
  #lastEviction: number | undefined;

  /** The moment to show; undefined until the first snapshot. */
  readonly moment = computed<Moment | undefined>(() => {
    const snapshot = this.#latest.value;
    if (snapshot === undefined) return undefined;
    const scope = this.scope.value;
    const history = this.#historyOf(scope);
    const facts = { history, engine: snapshot.engine };
    return { snapshot, scope, figures: this.#figures.get(scope), history, healths: healthsOf(facts) };
  });

  take(snapshot: Snapshot): void {
    if (this.#previous && hasRestarted(this.#previous, snapshot)) this.#startOver();
    this.#figures.clear();
    for (const scope of scopesOf(snapshot)) this.#add(scope, snapshot);
    for (const scope of this.#histories.keys()) {
      if (!this.#figures.has(scope)) this.#histories.get(scope)?.add(snapshot.at / 1000, undefined);
    }
    this.#announceEvictions(snapshot);
    this.#previous = snapshot;
    if (this.scope.peek() !== 'all' && !scopesOf(snapshot).includes(this.scope.peek()) && snapshot.missing === 0) {
      this.scope.value = 'all'; // the server has other workers now
    }
    this.#latest.value = snapshot;
  }

  /** The stream has ended. What the next snapshot differs by happened while nobody watched. */
  disconnected(): void {
    this.#previous = undefined;
  }

  #startOver(): void {
    this.#previous = undefined;
    this.#lastEviction = undefined;
  }

  #add(scope: Scope, snapshot: Snapshot): void {
    const figures = figuresOf(this.#previous, snapshot, scope);
    if (figures) this.#figures.set(scope, figures);
    this.#historyOf(scope).add(snapshot.at / 1000, figures);
  }

  #historyOf(scope: Scope): History {
    const history = this.#histories.get(scope) ?? new History();
    this.#histories.set(scope, history);
    return history;
  }

  #announceEvictions({ evictions }: Snapshot): void {
    const last = this.#lastEviction;
    this.#lastEviction = Math.max(last ?? 0, ...evictions.map(({ id }) => id));
    if (last !== undefined) this.#announcer.add(evictions.filter(({ id }) => id > last).length);
  }
}

function scopesOf({ threads }: Snapshot): readonly Scope[] {
  return threads.length === 1 && threads[0]?.worker === 0 ? ['all'] : ['all', ...threads.map(({ worker }) => worker)];
}

function healthsOf(facts: Facts): Record<PanelName, Health> {
  const entries = Object.entries(judges).map(([name, judge]) => [name, judge(facts)]);
  return Object.fromEntries(entries) as Record<PanelName, Health>;
}
