import type { ErrorMessage, Gap, History as HistoryReply, Json, Message, Place } from '../../src/protocol/v1.ts';

/** A range of messages that a `joined` names as lost, both ends inclusive. */
export interface Lost {
  readonly from: number;
  readonly to: number;
}

/** A message as clients see it. */
export type ReceivedMessage = Pick<Message, 'seq' | 'id' | 'from' | 'at' | 'data'>;

/** One thing that a client did or received. */
export type ClientEvent =
  | { readonly kind: 'opened'; readonly port: number }
  | { readonly kind: 'welcome'; readonly session: string; readonly user: string }
  | { readonly kind: 'join'; readonly since?: Place }
  | {
      readonly kind: 'joined';
      readonly epoch: string;
      readonly seq: number;
      readonly recovered: boolean;
      readonly lost?: Lost;
    }
  | ({ readonly kind: 'message' } & ReceivedMessage)
  | ({ readonly kind: 'gap' } & Pick<Gap, 'from' | 'to' | 'why'>)
  | { readonly kind: 'send'; readonly id: string; readonly data: Json }
  | { readonly kind: 'sent'; readonly id: string; readonly seq: number; readonly duplicate: boolean }
  | { readonly kind: 'history'; readonly messages: HistoryReply['messages'] }
  | ({ readonly kind: 'error' } & Pick<ErrorMessage, 'code' | 'id' | 'retry'>)
  | { readonly kind: 'drain'; readonly reconnectIn: number }
  | { readonly kind: 'closed'; readonly code: number; readonly reason: string };

/** An event and its time, by `Date.now()`. */
export type Timed = ClientEvent & { readonly time: number };

/** The life of one client in one room, across its connections. */
export interface ClientHistory {
  /** The client's user name, which no other client has. */
  readonly name: string;
  readonly room: string;
  readonly events: readonly Timed[];
}
