import type { ServerMessage } from '../../src/protocol/v1.ts';

/** An event of a stream, as a client of the standard parses it. */
export interface StreamEvent {
  /** `message` without a name. */
  readonly name: string;
  /** The last id so far; empty before the first one. */
  readonly id: string;
  readonly data: string;
}

/** Reads a stream with fetch, and parses it as `EventSource` does. */
export class EventReader {
  readonly status: number;
  readonly headers: Headers;
  readonly events: StreamEvent[] = [];
  /** Comments so far. */
  comments = 0;
  /** The last `retry:`, in milliseconds. */
  retry: number | undefined;
  /** Resolves with whether the response was complete. */
  readonly ended: Promise<boolean>;
  readonly #response: Response;
  readonly #abort: AbortController;
  #id = '';
  #read = 0;

  private constructor(response: Response, abort: AbortController) {
    this.status = response.status;
    this.headers = response.headers;
    this.#response = response;
    this.#abort = abort;
    this.ended = response.status === 200 ? this.#pump() : Promise.resolve(true);
  }

  static async open(url: string, init: RequestInit = {}): Promise<EventReader> {
    const abort = new AbortController();
    return new EventReader(await fetch(url, { ...init, signal: abort.signal }), abort);
  }

  /** Returns the body of a refusal. */
  json(): Promise<Record<string, unknown>> {
    return this.#response.json() as Promise<Record<string, unknown>>;
  }

  /** Disconnects. */
  close(): void {
    this.#abort.abort();
  }

  /** Returns the next event with this name, skipping others. @throws after ten seconds. */
  async next(name: string): Promise<StreamEvent> {
    for (const end = Date.now() + 10_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 2))) {
      while (this.#read < this.events.length) {
        const event = this.events[this.#read++];
        if (event?.name === name) return event;
      }
    }
    throw new Error(`no ${name} within ten seconds; received ${JSON.stringify(this.events).slice(0, 2000)}`);
  }

  /** Returns the data of all events with this name. */
  all(name = 'message'): Record<string, unknown>[] {
    return this.events.filter((event) => event.name === name).map(({ data }) => JSON.parse(data));
  }

  /** Returns the messages of `pumphouse.v1` in the stream of a session. */
  messages(): ServerMessage[] {
    const lines = this.events.filter(({ name }) => name === 'message').flatMap(({ data }) => data.split('\n'));
    return lines.map((line) => JSON.parse(line));
  }

  async #pump(): Promise<boolean> {
    const decoder = new TextDecoder();
    let rest = '';
    let lines: string[] = [];
    try {
      for await (const chunk of this.#response.body as unknown as AsyncIterable<Uint8Array>) {
        rest += decoder.decode(chunk, { stream: true });
        const complete = rest.split(/\r\n|\r|\n/);
        rest = complete.pop() ?? '';
        for (const line of complete) {
          if (line !== '') lines.push(line);
          else {
            this.#dispatch(lines);
            lines = [];
          }
        }
      }
      return true;
    } catch {
      return false;
    }
  }

  #dispatch(lines: readonly string[]): void {
    const data: string[] = [];
    let name = 'message';
    for (const line of lines) {
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (colon === 0) this.comments++;
      else if (field === 'data') data.push(value);
      else if (field === 'event') name = value;
      else if (field === 'id') this.#id = value;
      else if (field === 'retry') this.retry = Number(value);
      else throw new Error(`an unknown field: ${line}`);
    }
    if (data.length > 0) this.events.push({ name, id: this.#id, data: data.join('\n') });
  }
}
