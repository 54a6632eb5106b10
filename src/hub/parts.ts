import { systemClock, systemScheduler } from './clock.ts';
import { createEvents, type Events } from './events.ts';
import { Frames } from './frames.ts';
import { Hold } from './hold.ts';
import { Ledger } from './ledger.ts';
import { Memberships } from './memberships.ts';
import { Notices } from './notices.ts';
import type { Clock, Engine, Scheduler } from './ports.ts';
import { Presence } from './presence.ts';
import { Receipts } from './receipts.ts';
import { Rooms } from './rooms.ts';
import { type HubSettings, hubSettings } from './settings.ts';
import { Stragglers } from './stragglers.ts';

export interface HubOptions {
  readonly engine: Engine;
  readonly events?: Events;
  readonly clock?: Clock;
  readonly scheduler?: Scheduler;
  readonly settings?: Partial<HubSettings>;
}

/** What a Hub's turn goes through. */
export interface Parts {
  readonly events: Events;
  readonly settings: HubSettings;
  readonly scheduler: Scheduler;
  readonly rooms: Rooms;
  readonly frames: Frames;
  readonly notices: Notices;
  readonly presence: Presence;
  readonly ledger: Ledger;
  readonly stragglers: Stragglers;
  readonly memberships: Memberships;
  readonly hold: Hold;
}

/** Puts the parts of one Hub together. @param wake is called by those that have something for the next turn. */
export function assemble(options: HubOptions, wake: () => void): Parts {
  const { engine, events = createEvents(), clock = systemClock, scheduler = systemScheduler } = options;
  const settings = hubSettings(options.settings);
  const rooms = new Rooms(engine, clock, scheduler, settings);
  const [frames, notices] = [new Frames(), new Notices()];
  const presence = new Presence(notices, settings, clock, scheduler, wake);
  const ledger = new Ledger(engine, rooms, new Receipts(notices, clock), events, clock, settings.turn);
  const stragglers = new Stragglers(events, frames, notices, presence, settings);
  const settle = () => ledger.commit();
  const memberships = new Memberships({ rooms, stragglers, presence, notices, events, clock, settle });
  ledger.onDecided = (room, drafts) => memberships.decided(room, drafts);
  const hold = new Hold(clock, scheduler, settings, wake);
  return { events, settings, scheduler, rooms, frames, notices, presence, ledger, stragglers, memberships, hold };
}
