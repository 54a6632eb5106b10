/**
 * Pumphouse as a library: a whole server, or the Hub, its clients and wires for a program that
 * brings its own sockets.
 */

export type { Allowed, Asker, Handshake, Hooks, SendDetails } from './accept/hooks.ts';
export type { Authorizer, Decision, Denied } from './client/authorizer.ts';
export { Client, type ClientContext, type ClientState } from './client/client.ts';
export type { Identity, Renewal, Term } from './client/identity.ts';
export { type Connection, Keepalive } from './client/keepalive.ts';
export type { LifeRecorder, Living, Standing, Verdict } from './client/lives.ts';
export type { RateLimit, SharedTake } from './client/rate-limit.ts';
export type { Reader, ReadPumpContext, RoomStart } from './client/read-pump.ts';
export type { RoomRate, RoomRates } from './client/room-limits.ts';
export type { WritePump } from './client/write-pump.ts';
export { ConfigError } from './config/error.ts';
export type { RoomSettings } from './config/room-settings.ts';
export type { Address } from './config/schemas.ts';
export type { ListenerSettings, Settings, WireChoice } from './config/settings.ts';
export type { WebhookSettings } from './config/webhooks.ts';
export { DataDir } from './engine/data-dir.ts';
export { type LmdbOptions, lmdb } from './engine/lmdb.ts';
export { type MemoryOptions, memory } from './engine/memory.ts';
export type { LeaseTimes } from './engine/redis/cluster.ts';
export type { Servers } from './engine/redis/primary.ts';
export { type RedisOptions, redis } from './engine/redis/redis.ts';
export type { Retention, RetentionOf } from './engine/retention.ts';
export type { ChangeDraft, DraftExtra, RefusalCode, ReplyDraft } from './hub/changes.ts';
export type * from './hub/cluster.ts';
export type { Dedupe, DedupeLimits } from './hub/dedupe.ts';
export type * from './hub/engine.ts';
// The name `Decision` is the authorizer's.
export type { Decision as EngineDecision } from './hub/engine.ts';
export { createEvents, type Events, type HubEvents } from './hub/events.ts';
export type { HistoryRequest } from './hub/history.ts';
export { Hub, type HubOptions } from './hub/hub.ts';
export type { ChangeExtra, Extra, Log, LogLimits, LogRecord, MessageExtra, Reacted, Records } from './hub/log.ts';
export type { Census, Distribution, Meter } from './hub/meter.ts';
export type { HeadRequest, RoomHead } from './hub/requests.ts';
export type { Group, Member, Room } from './hub/room.ts';
export type { Coalesce, HubOverrides, HubSettings, MailboxCapacities, SlowPolicy } from './hub/settings.ts';
export type * from './hub/subscriber.ts';
export { MAX_FRAME_BYTES, MAX_STEP_BYTES } from './hub/subscriber.ts';
export type { BusyRoom, RoomMembers, Survey } from './hub/survey.ts';
export { type Clock, type Scheduler, systemClock, systemScheduler } from './hub/time.ts';
export { type Close, type CloseName, closes, comesBack } from './protocol/close-codes.ts';
export type { NowOrLater } from './protocol/now-or-later.ts';
export type { AuthenticationKind, EndReport } from './protocol/session-life.ts';
export type { HotRoom } from './protocol/snapshot.ts';
export type * as Protocol from './protocol/v1.ts';
export type { Rate } from './protocol/v1.ts';
export {
  type AttachedServer,
  type AttachOptions,
  createServer,
  type Server,
  type ServerOptions,
} from './server/create-server.ts';
export type { Extensions } from './server/running-server.ts';
export { DROPPED, QUEUED, SENT, type SendStatus, type Socket, type SocketListener } from './transport/transport.ts';
export type { HttpServer, RequestHandler } from './transport/ws-attach.ts';
export { blueprints } from './wire/blueprints.ts';
export { coder } from './wire/coder.ts';
export { events } from './wire/events.ts';
export { goWebsockets, goWebsocketsBasic } from './wire/go-websockets.ts';
export { gorilla } from './wire/gorilla.ts';
export { spread } from './wire/spread.ts';
export { PUBLIC_ROOM } from './wire/text.ts';
export { v1 } from './wire/v1.ts';
export type { Command, HttpPost, Publication, Publishing, ReadPost, Wire, WireLimits, WireName } from './wire/wire.ts';
