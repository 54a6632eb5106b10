import type { Hub } from '../hub/hub.ts';
import type { Clock } from '../hub/ports.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import type { Wire } from '../wire/wire.ts';

/** Messages that a client may send: `burst` at once, then `perSecond`. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** What a read pump needs. */
export interface ReadPumpContext {
  readonly hub: Hub;
  readonly clock: Clock;
  /** Undefined: as many as it likes. */
  readonly publishRate: Rate | undefined;
}

/**
 * Takes what a client sends to the Hub: size, decoding, rate, mailbox. It never throws, whatever the bytes; what the Hub
 * cannot have ends the client.
 */
export class ReadPump {
  readonly #from: string;
  readonly #wire: Wire;
  readonly #context: ReadPumpContext;
  #tokens: number;
  #filledAt: number;

  /** @param from the client's id. */
  constructor(from: string, wire: Wire, context: ReadPumpContext) {
    this.#from = from;
    this.#wire = wire;
    this.#context = context;
    this.#tokens = context.publishRate?.burst ?? 0;
    this.#filledAt = context.clock.now();
  }

  /** @returns why the client must be closed, or undefined when the message was taken. The bytes live only during the call. */
  message(data: Uint8Array, binary: boolean): Close | undefined {
    if (data.byteLength > this.#wire.maxMessageSize) return closes.messageTooBig;
    const command = this.#wire.decode(data, binary);
    if (command.kind === 'violation') return command.close;
    if (!this.#mayPublish()) return closes.rateExceeded;
    const { room, id, data: text, bytes } = command;
    const taken = this.#context.hub.broadcast({ room, from: this.#from, id, data: text, bytes });
    return taken ? undefined : closes.busy;
  }

  #mayPublish(): boolean {
    const { publishRate, clock } = this.#context;
    if (!publishRate) return true;
    const now = clock.now();
    const earned = ((now - this.#filledAt) / 1000) * publishRate.perSecond;
    this.#tokens = Math.min(publishRate.burst, this.#tokens + earned);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
