import { Component, createRef } from 'preact';
import type { Conversation } from '../state/conversation.ts';
import { rowsOf } from '../state/rows.ts';
import { JumpToLatest } from './jump-to-latest.tsx';
import { LogStart } from './log-start.tsx';
import { LogRow } from './row.tsx';
import { Unsent } from './unsent.tsx';

interface Props {
  readonly room: Conversation;
  readonly live: boolean;
}

/**
 * A row and the position of its bottom edge on the screen. The bottom, because a row loses its
 * author line when an earlier message of the same author is loaded.
 */
interface Anchor {
  readonly row: Element;
  readonly bottom: number;
}

// Pixels from the end within which the log counts as scrolled to the end.
const AT_END = 8;
// Pixels from either end within which more is loaded.
const LOAD_AHEAD = 600;

/**
 * The messages of a room. Stays at the end, or keeps the first visible message in place while the
 * rows around it change.
 */
export class Log extends Component<Props> {
  readonly #log = createRef<HTMLDivElement>();
  #resizeObserver: ResizeObserver | undefined;
  #scrolledToUnread = false;

  override render({ room, live }: Props) {
    // Subscribes to both: componentDidUpdate loads more when the rows change or a request ends.
    void [room.revision.value, room.loading.value];
    const rows = rowsOf(room.timeline.entries, room.user, room.readState.unreadAfter.value);
    const empty = rows.every(({ kind }) => kind === 'presence') && room.outgoing.pending.value.length === 0;
    return (
      <div class="conversation">
        <div
          class="log"
          ref={this.#log}
          role="log"
          aria-live="off"
          aria-label={`Conversation in ${room.name}`}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: keyboard users scroll it
          tabIndex={0}
          onScroll={this.#onScroll}
        >
          {room.loaded.value && <LogStart room={room} empty={empty} />}
          <ol class="rows">
            {rows.map((row) => (
              <LogRow key={row.key} row={row} room={room} />
            ))}
          </ol>
          {!room.timeline.detached && <Unsent room={room} live={live} />}
        </div>
        <JumpToLatest room={room} onJump={this.#jumpToLatest} />
      </div>
    );
  }

  override componentDidMount(): void {
    const { room } = this.props;
    this.#scrollToEnd();
    this.#scrollToUnread();
    this.#resizeObserver = new ResizeObserver(() => room.readState.atLatest && this.#scrollToEnd());
    if (this.#log.current) this.#resizeObserver.observe(this.#log.current);
  }

  override componentWillUnmount(): void {
    this.#resizeObserver?.disconnect();
    this.props.room.showLatest();
  }

  override getSnapshotBeforeUpdate(): Anchor | undefined {
    const log = this.#log.current;
    if (!log || this.props.room.readState.atLatest) return undefined;
    const edge = log.getBoundingClientRect().top;
    // A day separator is replaced when an earlier message of that day is loaded.
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
    if (this.props.room.readState.atLatest) this.#scrollToEnd();
    else if (anchor?.row.isConnected) log.scrollTop += anchor.row.getBoundingClientRect().bottom - anchor.bottom;
    this.#scrollToUnread();
    if (this.props.room.error.value === '') this.#loadMore(log);
  }

  /** Scrolls to the first unread message, once, when the history is loaded. */
  #scrollToUnread(): void {
    const { room } = this.props;
    if (this.#scrolledToUnread || !room.loaded.value) return;
    this.#scrolledToUnread = true;
    const line = this.#log.current?.querySelector('.unread-line');
    if (!line) return;
    line.scrollIntoView({ block: 'start' });
    this.#onScroll();
  }

  #scrollToEnd(): void {
    const log = this.#log.current;
    if (log) log.scrollTop = log.scrollHeight;
  }

  #jumpToLatest = (): void => {
    this.props.room.showLatest();
    this.#scrollToEnd();
    document.getElementById('input')?.focus();
  };

  #onScroll = (): void => {
    const log = this.#log.current;
    if (!log) return;
    const { room } = this.props;
    const fromEnd = log.scrollHeight - log.clientHeight - log.scrollTop;
    room.setAtEnd(fromEnd < AT_END);
    this.#loadMore(log);
  };

  #loadMore({ scrollTop, scrollHeight, clientHeight }: HTMLElement): void {
    const { room } = this.props;
    if (scrollTop < LOAD_AHEAD) void room.loadOlder();
    if (scrollHeight - clientHeight - scrollTop < LOAD_AHEAD) void room.loadNewer();
  }
}
