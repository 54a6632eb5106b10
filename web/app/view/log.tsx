import { Component, createRef } from 'preact';
import type { Conversation } from '../state/conversation.ts';
import { rowsOf } from '../state/rows.ts';
import { Jump } from './jump.tsx';
import { LogRow } from './row.tsx';
import { Start } from './start.tsx';
import { Unsent } from './unsent.tsx';

interface Props {
  readonly room: Conversation;
  readonly live: boolean;
}

/** A row and where it ends on the screen. Its end: what stands above its text goes when an earlier message of its author comes. */
interface Anchor {
  readonly row: Element;
  readonly bottom: number;
}

// Within so many pixels of the end one stands at it, and within so many of either end more is fetched.
const AT_END = 8;
const NEAR = 600;

/** The conversation: at its end it stays there; who reads back is left in place, whatever comes and goes around. */
export class Log extends Component<Props> {
  readonly #log = createRef<HTMLDivElement>();
  #resized: ResizeObserver | undefined;
  #placed = false;

  override render({ room, live }: Props) {
    // What is fetched next depends on what has come, and on that nothing is on its way.
    void [room.revision.value, room.loading.value];
    const rows = rowsOf(room.timeline.entries, room.me, room.reading.line.value);
    const empty = rows.every(({ kind }) => kind === 'coming') && room.outgoing.waiting.value.length === 0;
    return (
      <div class="conversation">
        <div
          class="log"
          ref={this.#log}
          role="log"
          aria-live="off"
          aria-label={`Conversation in ${room.name}`}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
          tabIndex={0}
          onScroll={this.#scrolled}
        >
          {room.loaded.value && <Start room={room} empty={empty} />}
          <ol class="rows">
            {rows.map((row) => (
              <LogRow key={row.key} row={row} room={room} />
            ))}
          </ol>
          {!room.timeline.detached && <Unsent room={room} live={live} />}
        </div>
        <Jump room={room} onJump={this.#toLatest} />
      </div>
    );
  }

  override componentDidMount(): void {
    const { room } = this.props;
    this.#toEnd();
    this.#place();
    this.#resized = new ResizeObserver(() => room.reading.atLatest && this.#toEnd());
    if (this.#log.current) this.#resized.observe(this.#log.current);
  }

  override componentWillUnmount(): void {
    this.#resized?.disconnect();
    this.props.room.toLatest();
  }

  override getSnapshotBeforeUpdate(): Anchor | undefined {
    const log = this.#log.current;
    if (!log || this.props.room.reading.atLatest) return undefined;
    const edge = log.getBoundingClientRect().top;
    // The line that begins a day goes when an earlier message of that day comes.
    const rows = log.querySelectorAll('.rows > :not(.day)');
    for (const row of rows) {
      const { bottom } = row.getBoundingClientRect();
      if (bottom > edge) return { row, bottom };
    }
    return undefined;
  }

  override componentDidUpdate(_: Props, __: unknown, anchor: Anchor | undefined): void {
    const log = this.#log.current;
    if (!log) return;
    if (this.props.room.reading.atLatest) this.#toEnd();
    else if (anchor?.row.isConnected) log.scrollTop += anchor.row.getBoundingClientRect().bottom - anchor.bottom;
    this.#place();
    if (this.props.room.trouble.value === '') this.#fetch(log);
  }

  /** Once what was said before is there, one starts where one left off. */
  #place(): void {
    const { room } = this.props;
    if (this.#placed || !room.loaded.value) return;
    this.#placed = true;
    const line = this.#log.current?.querySelector('.unread-line');
    if (!line) return;
    line.scrollIntoView({ block: 'start' });
    this.#scrolled();
  }

  #toEnd(): void {
    const log = this.#log.current;
    if (log) log.scrollTop = log.scrollHeight;
  }

  #toLatest = (): void => {
    this.props.room.toLatest();
    this.#toEnd();
    document.getElementById('input')?.focus();
  };

  #scrolled = (): void => {
    const log = this.#log.current;
    if (!log) return;
    const { room } = this.props;
    const left = log.scrollHeight - log.clientHeight - log.scrollTop;
    room.stand(left < AT_END);
    this.#fetch(log);
  };

  #fetch({ scrollTop, scrollHeight, clientHeight }: HTMLElement): void {
    const { room } = this.props;
    if (scrollTop < NEAR) void room.loadOlder();
    if (scrollHeight - clientHeight - scrollTop < NEAR) void room.loadNewer();
  }
}
