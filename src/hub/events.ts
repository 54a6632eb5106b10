import mittModule, { type Emitter, type Handler } from 'mitt';
import type { Close } from '../protocol/close-codes.ts';
import type { EngineState } from './engine.ts';

// Under nodenext mitt's default import is typed as its module, though at run time it is the
// function.
const mitt = mittModule as unknown as typeof mittModule.default;

/** Lifecycle events of the Hub and its clients. Rare by design: none is emitted once a delivery. */
export type HubEvents = {
  /** A connection is open. */
  connected: { client: string; wire: string; remoteAddress: string };
  /** A connection is closed. `by` is the side that closed it first. */
  disconnected: { client: string; wire: string; remoteAddress: string; close: Close; by: 'server' | 'peer' };
  /** A client has joined a room, which now has `members`. */
  registered: { client: string; room: string; members: number };
  /**
   * A client has resumed at a place in a room. `outcome` tells whether it gets everything since
   * then: some records are no longer kept (`trimmed`), the log is another one (`epoch`), or the
   * store has lost records that the client has (`lost`).
   */
  resumed: { client: string; room: string; outcome: 'complete' | 'trimmed' | 'epoch' | 'lost' };
  /** A client has left a room, which now has `members`. */
  unregistered: { client: string; room: string; members: number };
  /** A room's records `from`…`to` were committed in one batch. `members` will be handed them. */
  committed: { room: string; from: number; to: number; members: number };
  /**
   * A room's log is in another life, `epoch`, from `seq` on: its store was restarted, replaced or
   * emptied. `lost` records that were in the log before are not in it now.
   */
  moved: { room: string; epoch: string; seq: number; lost: number };
  /** The engine has lost or regained its store. */
  engine: { state: EngineState };
  /** A member was parked `records` behind the head: its socket accepts no more data. */
  lagging: { client: string; room: string; records: number };
  /** A lagging member has caught up. */
  drained: { client: string; room: string };
  /**
   * A slow consumer was closed, `records` behind the head. `seq` is the last record that its socket
   * accepted.
   */
  evicted: { client: string; user: string; room: string; epoch: string; seq: number; records: number; why: string };
  /** A client's application has shown the messages up to `seq`. */
  shown: { client: string; user: string; room: string; seq: number };
  /**
   * A handshake was refused. `message` is for the operator: the cause, and the setting that would
   * allow it. `wire` and `origin` are empty where the request has none.
   */
  refused: {
    reason:
      | 'origin'
      | 'hook'
      | 'hook_failed'
      | 'max_connections'
      | 'connections_per_address'
      | 'max_handshakes'
      | 'missing_credentials'
      | 'invalid_credentials'
      | 'throttled'
      | 'malformed'
      | 'bad_query'
      | 'forbidden_room'
      | 'unknown_path'
      | 'draining'
      | 'unavailable';
    message: string;
    wire: string;
    remoteAddress: string;
    origin: string;
  };
  /** A client used `feature`, which a later version removes. It should use `instead`. */
  deprecated: { feature: string; instead: string; remoteAddress: string };
  /** A full mailbox refused a post. */
  overloaded: { mailbox: 'register' | 'unregister' | 'broadcast' | 'request'; capacity: number };
  /** A listener of `event` threw. */
  failed: { event: string; error: unknown };
};

/** The typed events of one Hub. */
export interface Events {
  /** Calls `handler` on each event of `type`. @returns a function that removes it. */
  on<T extends keyof HubEvents>(type: T, handler: Handler<HubEvents[T]>): () => void;
  emit<T extends keyof HubEvents>(type: T, event: HubEvents[T]): void;
  /** Whether there is a handler for events of `type`. */
  has(type: keyof HubEvents): boolean;
}

/**
 * Creates events on mitt. A handler that throws would silence those after it, so errors are caught
 * and emitted as `failed`.
 */
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
    has: (type) => (emitter.all.get(type)?.length ?? 0) > 0,
  };
}
