import { broadcast } from './broadcast.ts';
import { chat } from './chat.ts';
import { coalescing } from './coalescing.ts';
import { durable } from './durable.ts';
import { idle } from './idle.ts';
import { openLoop } from './open-loop.ts';
import type { Scenario } from './scenario.ts';
import { slowReaders } from './slow-readers.ts';

export type { Scenario } from './scenario.ts';

/** All of them, in the order in which they are run. */
export const scenarios: readonly Scenario[] = [chat, broadcast, openLoop, idle, slowReaders, durable, ...coalescing];
