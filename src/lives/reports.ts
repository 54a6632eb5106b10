import type { SessionReport } from '../protocol/session-life.ts';

// A client reports once a connection. More than these of one session replace its earlier ones.
const REPORTS_OF_SESSION = 20;

interface Kept {
  readonly user: string;
  readonly reports: SessionReport[];
}

/** The newest reports of clients on the ends of their connections. */
export class Reports {
  readonly #kept: number;
  /** By session, the one that reported last at the end. */
  readonly #sessions = new Map<string, Kept>();
  #count = 0;

  /** @param kept how many reports are kept. */
  constructor(kept: number) {
    this.#kept = kept;
  }

  add(user: string, report: SessionReport): void {
    const { session } = report;
    const kept = this.#sessions.get(session) ?? { user, reports: [] };
    this.#sessions.delete(session);
    this.#sessions.set(session, kept);
    kept.reports.push(report);
    this.#count++;
    if (kept.reports.length > REPORTS_OF_SESSION) this.#dropFirst(session, kept);
    for (const [oldest, theirs] of this.#sessions) {
      if (this.#count <= this.#kept) break;
      this.#dropFirst(oldest, theirs);
    }
  }

  /** Returns the reports of a session, or of all sessions of a user. */
  find(by: 'session' | 'user', name: string): readonly SessionReport[] {
    const sessions = by === 'session' ? [name] : [...this.#sessions.keys()];
    return sessions.flatMap((session) => {
      const kept = this.#sessions.get(session);
      if (kept === undefined || (by === 'user' && kept.user !== name)) return [];
      return kept.reports;
    });
  }

  #dropFirst(session: string, { reports }: Kept): void {
    reports.shift();
    this.#count--;
    if (reports.length === 0) this.#sessions.delete(session);
  }
}
