/**
 * What the client does where no WebSocket connects. Most clients never need it, so it is a file of
 * its own, loaded when it is needed. It must import nothing at run time that the other file has: a
 * bundler would move that to a third one.
 */
export { fallbackOf } from './fallback-connection.ts';
export { warnOfOrigin } from './origin-warning.ts';
export { loadWebSocket } from './web-socket.ts';
