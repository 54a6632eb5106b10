/**
 * One end of an ordered channel of messages between two threads. Messages are cloned, and received
 * in a later turn of the event loop. The reactions to promises run between two messages.
 */
export interface Port {
  /** @throws DataCloneError when the message contains what cannot be cloned, such as a function. */
  post(message: unknown): void;
  /** Sets the receiver of the messages. Those that come before are kept for it. */
  receive(listener: (message: unknown) => void): void;
}

/** The part of a MessagePort, of a Worker and of `parentPort` that a port needs. */
export interface MessageChannelEnd {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
}

/** Returns a MessagePort, a Worker or `parentPort` as a port. */
export function portOf(end: MessageChannelEnd): Port {
  return {
    post: (message) => end.postMessage(message),
    receive: (listener) => void end.on('message', listener),
  };
}
