import { bigMessages } from './big-messages.ts';
import { broadcast } from './broadcast.ts';
import { chat } from './chat.ts';
import { churn } from './churn.ts';
import { coalescing } from './coalescing.ts';
import { durable } from './durable.ts';
import { fanOut } from './fan-out.ts';
import { idle } from './idle.ts';
import { manyRooms } from './many-rooms.ts';
import { openLoop } from './open-loop.ts';
import { recover } from './recover.ts';
import type { Scenario } from './scenario.ts';
import { slowReaders } from './slow-readers.ts';
import { storm } from './storm.ts';

export type { Scenario } from './scenario.ts';

/** All of them, in the order in which they are run. */
export const scenarios: readonly Scenario[] = [
  chat,
  broadcast,
  ...fanOut,
  manyRooms,
  openLoop,
  bigMessages,
  slowReaders,
  churn,
  idle,
  storm,
  durable,
  recover,
  ...coalescing,
];

/** @throws Error where there is none of that name. */
export function scenarioNamed(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (!found) throw new Error(`there is no scenario ${name}`);
  return found;
}
