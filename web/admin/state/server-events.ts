/** One server-sent event. */
export interface ServerEvent {
  readonly name: string;
  readonly data: string;
}

// A snapshot has some dozen kilobytes. A stream that never ends an event is not one of ours.
const MAX_EVENT_LENGTH = 4 * 1024 * 1024;

/** Reads a stream of server-sent events, which arrives in parts that end anywhere. */
export class ServerEventParser {
  #rest = '';
  #name = '';
  #data: string[] = [];
  #length = 0;

  /**
   * Returns the events that a part of the stream completes.
   *
   * @throws Error for an event that is too long.
   */
  push(part: string): ServerEvent[] {
    const text = this.#rest + part;
    // A carriage return at the end may be half of a line's end.
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    const events = lines.flatMap((line) => this.#take(line) ?? []);
    if (this.#rest.length + this.#length > MAX_EVENT_LENGTH) throw new Error('an event of the stream is too long');
    return events;
  }

  #take(line: string): ServerEvent | undefined {
    if (line === '') return this.#complete();
    this.#length += line.length;
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#name = value;
    else if (field === 'data') this.#data.push(value);
    return undefined;
  }

  #complete(): ServerEvent | undefined {
    const event = { name: this.#name || 'message', data: this.#data.join('\n') };
    const isEmpty = this.#data.length === 0;
    [this.#name, this.#data, this.#length] = ['', [], 0];
    return isEmpty ? undefined : event;
  }
}
