import mittModule, { type Emitter, type Handler } from 'mitt';
import type { Close } from '../protocol/close-codes.ts';

// Under nodenext mitt's default import is typed as its module, though at run time it is the function.
const mitt = mittModule as unknown as typeof mittModule.default;

/** What the Hub and its clients tell of their lives. Rare by design: nothing here happens once a delivery. */
export type HubEvents = {
  /** A connection is open. */
  connected: { client: string; wire: string; remoteAddress: string };
  /** A connection is over. `by` says who closed it first. */
  disconnected: { client: string; wire: string; remoteAddress: string; close: Close; by: 'server' | 'peer' };
  /** A client became a member of a room, which now has `members`. */
  registered: { client: string; room: string; members: number };
  /** A client is no longer a member of a room. */
  unregistered: { client: string; room: string; members: number };
  /** A room's records `from`…`to` were committed in one batch; `members` will be handed them. */
  committed: { room: string; from: number; to: number; members: number };
  /** A member's socket took no more and it was parked, `records` behind the head. */
  lagging: { client: string; room: string; records: number };
  /** A lagging member has read everything again. */
  drained: { client: string; room: string };
  /** A member was closed because it fell `records` behind or took nothing for too long; `seq` is the last it was handed. */
  evicted: { client: string; room: string; epoch: string; seq: number; records: number; why: string };
  /** A client's program has shown its user the messages up to `seq`. */
  shown: { client: string; user: string; room: string; seq: number };
  /** A mailbox was full and refused a post. */
  overloaded: { mailbox: 'register' | 'unregister' | 'broadcast'; capacity: number };
  /** A listener of these events threw. */
  failed: { event: string; error: unknown };
};

/** The typed events of one Hub. */
export interface Events {
  /** Calls `handler` on each event of `type`. @returns a function that ends it. */
  on<T extends keyof HubEvents>(type: T, handler: Handler<HubEvents[T]>): () => void;
  emit<T extends keyof HubEvents>(type: T, event: HubEvents[T]): void;
}

/** Events on mitt. A handler that throws would silence those after it: it is caught here and told as `failed`. */
export function createEvents(): Events {
  const emitter: Emitter<HubEvents> = mitt<HubEvents>();
  return {
    on(type, handler) {
      const guarded: typeof handler = (event) => {
        try {
          handler(event);
        } catch (error) {
          if (type !== 'failed') emitter.emit('failed', { event: type, error });
        }
      };
      emitter.on(type, guarded);
      return () => emitter.off(type, guarded);
    },
    emit: (type, event) => emitter.emit(type, event),
  };
}
