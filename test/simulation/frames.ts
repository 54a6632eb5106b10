import type { ServerMessage } from '../../src/protocol/v1.ts';

/** Distinct lines that are kept, as many as a run's slowest session has not received yet. */
const LINES = 10_000;

/** Reads frames of `pumphouse.v1`. Parses a line once, however many sessions it is sent to. */
export class FrameReader {
  readonly #parsed = new Map<string, ServerMessage>();

  /** Returns the messages of a frame, which other frames may share. */
  read(frame: Uint8Array): ServerMessage[] {
    const text = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString();
    return text.split('\n').map((line) => this.#parse(line));
  }

  #parse(line: string): ServerMessage {
    const parsed = this.#parsed.get(line);
    if (parsed) return parsed;
    if (this.#parsed.size >= LINES) this.#parsed.clear();
    const message = JSON.parse(line) as ServerMessage;
    this.#parsed.set(line, message);
    return message;
  }
}
