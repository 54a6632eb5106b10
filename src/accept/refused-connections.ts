import type { Socket, SocketListener, Upgrade } from '../transport/transport.ts';
import type { Wire } from '../wire/wire.ts';
import type { RefusalNotice } from './refusal.ts';

const MAX_OPEN = 100;

/**
 * Reports to clients of the native protocol why they are refused. A browser cannot read the
 * response to a handshake, so the connection is accepted, gets its notice and is closed at once. A
 * peer that leaves the close frame unanswered keeps its socket for some seconds, so the number is
 * bounded. On uWebSockets.js a connection counts only until its close frame is written.
 */
export class RefusedConnections {
  readonly #maxOpen: number;
  #open = 0;

  /** @param maxOpen further ones are rejected by HTTP. */
  constructor(maxOpen = MAX_OPEN) {
    this.#maxOpen = maxOpen;
  }

  /** Returns a connection that sends the notice, or undefined when too many are open. */
  accept(notice: RefusalNotice, wire: Wire, protocol: string): Upgrade | undefined {
    return this.#open < this.#maxOpen ? { listener: this.#listener(notice, wire), protocol } : undefined;
  }

  #listener({ error, close }: RefusalNotice, wire: Wire): SocketListener {
    const open = (socket: Socket) => {
      // Several may have been accepted before the first is open.
      if (++this.#open > this.#maxOpen) return socket.close({ code: 1006, reason: '' });
      if (error) socket.send(Buffer.from(wire.encodeNotice(error)));
      socket.close(close);
    };
    return {
      open,
      message() {},
      pong() {},
      drain() {},
      close: () => {
        this.#open--;
      },
    };
  }
}
