import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Hub } from '../hub/hub.ts';

/** The messages of a process, which one Hub or several threads have committed. */
export interface MessageCount {
  readonly messages: number;
  /** Calls a listener once, at the next message. */
  onceCommitted(listener: () => void): void;
}

/** Returns the count of a Hub that is alone in its process. */
export function messagesOf(hub: Hub): MessageCount {
  return {
    get messages() {
      return hub.messages;
    },
    onceCommitted(listener) {
      const off = hub.events.on('committed', () => {
        off();
        listener();
      });
    },
  };
}

const SECOND_MS = 1_000;

// Clients outlive the young generation. V8 would grow it with each burst of connections, by more
// than the clients themselves take, and shrink it only after a long idle period. Its pauses grow
// with it, too. So it stays small, except at rates that fill it many times a second: there it grows
// in larger steps than V8's own, since each step takes a few collections.
const YOUNG_GENERATION_STAYS_SMALL = '--semi-space-growth-factor=1';
const YOUNG_GENERATION_MAY_GROW = '--semi-space-growth-factor=4';
const MANY_MESSAGES = 10_000;

/**
 * Returns the flags that optimize a function about 13 times as early as by default. At its default,
 * the functions that one message runs are slow for the first seconds of traffic. Connecting clients
 * need no such speed.
 *
 * V8 counts the bytes of bytecode that a function has run; since version 11.8 its invocations, for
 * each of two compilers. It writes a line to standard error for a flag that it does not know.
 *
 * @param version V8's, as `process.versions` has it.
 */
export function earlyOptimization(version: string): readonly string[] {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < 11 || (major === 11 && minor < 8)
    ? ['--interrupt-budget=5000']
    : ['--invocation-count-for-maglev=30', '--invocation-count-for-turbofan=220'];
}

/**
 * Sets V8's flags for a server with a process of its own. Call it before the server starts, and
 * whenever a thread has started: V8 sets the growth factor back as it creates the heap of a thread.
 */
export function setStartFlags(): void {
  setFlagsFromString(YOUNG_GENERATION_STAYS_SMALL);
}

/** Adapts V8 to the rate of messages: at the first one, and once a second while there are any. */
export function adaptFlags(count: MessageCount): void {
  let timer: NodeJS.Timeout | undefined;
  let before = 0;
  const adapt = () => {
    const messages = count.messages - before;
    before = count.messages;
    setFlagsFromString(messages >= MANY_MESSAGES ? YOUNG_GENERATION_MAY_GROW : YOUNG_GENERATION_STAYS_SMALL);
    if (messages > 0) return;
    clearInterval(timer);
    awaitMessages();
  };
  const awaitMessages = () => {
    count.onceCommitted(() => {
      for (const flag of earlyOptimization(process.versions.v8)) setFlagsFromString(flag);
      timer = setInterval(adapt, SECOND_MS).unref();
    });
  };
  awaitMessages();
}

// So many handshakes leave garbage that is worth a pause.
const BURST = 1_000;

// The pause grows with the heap. A larger one is left to V8, which marks it while the server runs.
const MAX_COLLECTED_BYTES = 64 * 1024 * 1024;

/**
 * Collects the garbage of handshakes once no client has connected and no message was sent for a
 * second. V8 itself gives that memory back only after a longer idle period.
 */
export function collectAfterBursts(hub: Pick<Hub, 'events' | 'messages'>, collect = compact): void {
  let timer: NodeJS.Timeout | undefined;
  let connected = 0;
  let activity = 0;
  const check = () => {
    const before = activity;
    activity = connected + hub.messages;
    if (activity !== before) return;
    clearInterval(timer);
    timer = undefined;
    connected = 0;
    collect();
  };
  hub.events.on('connected', () => {
    if (++connected >= BURST) timer ??= setInterval(check, SECOND_MS).unref();
  });
}

let gc: (() => void) | undefined;

/**
 * Collects the garbage of this thread, such as that of its start. V8 itself would do so when the
 * heap has grown a little further: in the first seconds of traffic, with a pause for each part.
 */
export function collectGarbage(): void {
  if (gc === undefined) {
    // Only contexts that are created with this flag have the function. It holds for all threads, so
    // it stays: another one may be about to create its context.
    setFlagsFromString('--expose-gc');
    gc = runInNewContext('gc') as () => void;
  }
  gc();
}

/** Collects the garbage of this thread, and gives the memory between what is left back. */
function compact(): void {
  if (getHeapStatistics().used_heap_size > MAX_COLLECTED_BYTES) return;
  setFlagsFromString('--compact-on-every-full-gc');
  collectGarbage();
  setFlagsFromString('--no-compact-on-every-full-gc');
}
