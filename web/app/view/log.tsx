import { Component, createRef } from 'preact';
import { announceLine } from '../state/announcer.ts';
import type { Chat } from '../state/chat.ts';
import type { Conversation } from '../state/conversation.ts';
import { oncePerFrame } from '../state/frames.ts';
import { type Row, rowsOf } from '../state/rows.ts';
import type { Missing } from '../state/timeline.ts';
import { extras } from './extras.ts';
import { count } from './format.ts';
import { RoomContext } from './inline-text.tsx';
import { JumpToLatest } from './jump-to-latest.tsx';
import { LogStart } from './log-start.tsx';
import type { MessageContext } from './message-context.ts';
import { Gestures } from './message-gestures.ts';
import { renderer } from './rich-text.ts';
import { LogRow } from './row.tsx';
import { MAX_NEW, rangeOf } from './row-range.ts';
import { touch } from './screen.ts';
import { Unsent } from './unsent.tsx';

interface Props {
  readonly chat: Chat;
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
// Share of the log's height above the line that marks the first unread message.
const UNREAD_LINE_AT = 0.25;
// The rows that stay in place while others are inserted. A day separator is replaced when an
// earlier message of that day is loaded, and a missing range when a part of it is.
const ANCHORS = '.message';
/** The time for which the message of a link is highlighted, in milliseconds. */
const HIGHLIGHT_MS = 2_500;
/** A log at its end is busy after so many additions, until it has been quiet for a while. */
const BUSY = 8;
/** How many rows a busy log keeps. They fill a tall screen. */
const MAX_BUSY = 100;
const QUIET_MS = 1_000;

/**
 * The messages of a room. Opens at the first unread message, or where the reader left it. Stays at
 * the end, or keeps the message in the middle in place while others around it change.
 */
export class Log extends Component<Props> {
  readonly #log = createRef<HTMLDivElement>();
  readonly #list = createRef<HTMLOListElement>();
  #resizeObserver: ResizeObserver | undefined;
  /** The log's height when it was last observed. */
  #height: number | undefined;
  #gestures: Gestures | undefined;
  /** The rows rendered last: those of the list, in order. */
  #rows: readonly Row[] = [];
  /** How many rows before and after them are not rendered. */
  #before = 0;
  #after = 0;
  /** How many times rows were added at the end since the log was quiet. */
  #additions = 0;
  #quietTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #renderMore = oncePerFrame(() => this.forceUpdate());

  override render({ room, live }: Props) {
    // Subscribes to both: componentDidUpdate loads more when the rows change or a request ends.
    void [room.revision.value, room.history.loading.value, room.history.target.value];
    const rich = renderer.value !== undefined;
    const archived = room.archive.messages.value;
    const all = rowsOf(room.entries, room.authorOf, room.readState.unreadAfter.value);
    const rows = this.#part(all);
    this.#rows = rows;
    const empty = all.every(({ kind }) => kind === 'presence') && room.outgoing.pending.value.length === 0;
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
          {room.history.loaded.value && this.#before === 0 && <LogStart room={room} empty={empty} />}
          <RoomContext.Provider value={room}>
            <ol class="rows" ref={this.#list}>
              {rows.map((row) => (
                <LogRow
                  key={row.key}
                  row={row}
                  room={room}
                  live={live}
                  rich={rich}
                  extras={extras.value !== undefined}
                  user={room.user}
                />
              ))}
            </ol>
            {archived && (
              <p class="missing archived">
                Offline: these are the latest {count(archived.length, 'message')} that this browser has stored.
              </p>
            )}
            {!room.timeline.detached && <Unsent room={room} live={live} rich={rich} />}
          </RoomContext.Provider>
        </div>
        <JumpToLatest room={room} onJump={this.#jumpToLatest} />
      </div>
    );
  }

  /** Returns the rows to render now. */
  #part(all: readonly Row[]): readonly Row[] {
    const { readState, scrollPosition, history } = this.props.room;
    const last = this.#rows.at(-1)?.key;
    if (last && all.at(-1)?.key !== last) {
      this.#additions++;
      clearTimeout(this.#quietTimer);
      this.#quietTimer = setTimeout(() => {
        this.#additions = 0;
        this.#renderMore();
      }, QUIET_MS);
    }
    const [start, end] = rangeOf(
      all,
      new Set(this.#rows.map(({ key }) => key)),
      this.#isBusy ? MAX_BUSY : readState.atLatest ? all.length : 0,
      history.target.peek() ?? (readState.opensAtUnread ? 'unread' : last ? undefined : scrollPosition?.key),
    );
    this.#before = start;
    this.#after = Math.max(0, all.length - end);
    return all.slice(start, end);
  }

  /** Whether to render few rows. */
  get #isBusy(): boolean {
    return this.props.room.readState.atLatest && this.#additions > BUSY;
  }

  override componentDidMount(): void {
    const { room } = this.props;
    if (room.readState.atLatest || !this.#restorePosition()) this.#scrollToEnd();
    this.#scrollToUnread();
    this.#showTarget();
    const log = this.#log.current as HTMLDivElement;
    this.#gestures = new Gestures(log, this.#messageOf);
    this.#resizeObserver = new ResizeObserver(() => {
      if (room.readState.atLatest) this.#scrollToEnd();
      this.#height = log.clientHeight;
    });
    this.#resizeObserver.observe(log);
  }

  override componentWillUnmount(): void {
    this.#resizeObserver?.disconnect();
    this.#gestures?.stop();
    clearTimeout(this.#quietTimer);
    this.#savePosition();
  }

  override getSnapshotBeforeUpdate(): Anchor | undefined {
    return this.props.room.readState.atLatest ? undefined : this.#middleMessage();
  }

  override componentDidUpdate(_: Props, __: unknown, anchor: Anchor | undefined): void {
    const log = this.#log.current;
    if (!log) return;
    if (this.props.room.readState.atLatest) this.#scrollToEnd();
    else if (anchor?.row.isConnected) log.scrollTop += anchor.row.getBoundingClientRect().bottom - anchor.bottom;
    this.#scrollToUnread();
    this.#showTarget();
    this.#reportVisible(log);
    if (this.#after > 0) this.#renderMore();
    if (this.props.room.error.value === '') this.#loadMore(log);
  }

  /**
   * Returns the message in the middle of the screen. The rows on both sides of it may change: the
   * end of a missing range is loaded above it, and the start of one below it.
   */
  #middleMessage(): Anchor | undefined {
    const { top = 0, height = 0 } = this.#log.current?.getBoundingClientRect() ?? {};
    let last: Anchor | undefined;
    for (const row of this.#list.current?.querySelectorAll(ANCHORS) ?? []) {
      const { bottom } = row.getBoundingClientRect();
      last = { row, bottom };
      if (bottom > top + height / 2) break;
    }
    return last;
  }

  #rowOf(element: Element): Row | undefined {
    return this.#rows[[...(this.#list.current?.children ?? [])].indexOf(element)];
  }

  #elementOf(key: string | undefined): HTMLElement | undefined {
    const index = this.#rows.findIndex((row) => row.key === key);
    return this.#list.current?.children[index] as HTMLElement | undefined;
  }

  /** Keeps the scroll position for the time until the room is opened again. */
  #savePosition(): void {
    const { room } = this.props;
    room.scrollPosition = undefined;
    const [log, anchor] = [this.#log.current, this.#middleMessage()];
    if (!log || !anchor || room.readState.atLatest || room.readState.opensAtUnread) return;
    const key = this.#rowOf(anchor.row)?.key;
    if (key !== undefined) room.scrollPosition = { key, bottom: anchor.bottom - log.getBoundingClientRect().top };
  }

  /** Scrolls to the saved position. Returns false without one. */
  #restorePosition(): boolean {
    const { room } = this.props;
    const [log, position] = [this.#log.current, room.scrollPosition];
    const row = this.#elementOf(position?.key);
    if (!log || !position || !row) return false;
    log.scrollTop += row.getBoundingClientRect().bottom - log.getBoundingClientRect().top - position.bottom;
    return true;
  }

  /** Scrolls to the first unread message when it is loaded, if the room opens there. */
  #scrollToUnread(): void {
    const { room } = this.props;
    const log = this.#log.current;
    if (!log || !room.readState.opensAtUnread || !room.history.loaded.value || room.history.loading.value) return;
    room.readState.opensAtUnread = false;
    const line = this.#list.current?.querySelector('.unread-line');
    const offset = line ? line.getBoundingClientRect().top - log.getBoundingClientRect().top : log.scrollHeight;
    log.scrollTop += offset - log.clientHeight * UNREAD_LINE_AT;
    this.#onScroll();
  }

  /** Scrolls to the message of a link, and highlights it for a moment. */
  #showTarget(): void {
    const { room } = this.props;
    const key = room.history.target.peek();
    if (key === undefined) return;
    const row = this.#elementOf(key);
    if (!row) return;
    room.history.target.value = undefined;
    row.scrollIntoView({ block: 'center' });
    row.tabIndex = -1;
    row.focus({ preventScroll: true });
    row.dataset.target = '';
    setTimeout(() => delete row.dataset.target, HIGHLIGHT_MS);
    const message = this.#messageOf(row)?.message;
    if (message) announceLine(`Showing the message of ${message.from}: ${message.text}`);
    this.#onScroll();
  }

  /** Returns the message of a row. */
  #messageOf = (row: Element): MessageContext | undefined => {
    const found = this.#rowOf(row);
    if (found?.kind !== 'message') return undefined;
    const { chat, room } = this.props;
    return { chat, room, message: found.message, author: found.author };
  };

  #scrollToEnd(): void {
    const log = this.#log.current;
    if (log) log.scrollTop = log.scrollHeight;
  }

  #jumpToLatest = (): void => {
    this.props.room.showLatest();
    this.#scrollToEnd();
    if (!touch) document.getElementById('input')?.focus();
  };

  #onScroll = (): void => {
    const log = this.#log.current;
    const { room } = this.props;
    if (!log || room.readState.opensAtUnread) return;
    // Resized in this frame: the reader has not left the end, and the observer scrolls to it.
    if (room.readState.atLatest && log.clientHeight !== this.#height) return;
    const fromEnd = log.scrollHeight - log.clientHeight - log.scrollTop;
    room.setAtEnd(fromEnd < AT_END && (room.readState.atLatest || this.#after === 0));
    this.#reportVisible(log);
    this.#loadMore(log);
  };

  /** Reports the last message whose end is on the screen. */
  #reportVisible(log: HTMLElement): void {
    const { readState } = this.props.room;
    const rows = this.#list.current?.children;
    if (!rows || readState.atLatest || readState.unread.value === 0) return;
    const edge = log.getBoundingClientRect().bottom;
    const last = this.#rows.findLast(
      (row, index) =>
        row.kind === 'message' && !row.message.lost && (rows[index] as Element).getBoundingClientRect().bottom <= edge,
    );
    if (last?.kind === 'message') readState.setVisible(last.message);
  }

  #loadMore(log: HTMLElement): void {
    const { room } = this.props;
    const { scrollTop, scrollHeight, clientHeight } = log;
    if (room.readState.opensAtUnread) return;
    this.#fillGap(log);
    const [nearStart, nearEnd] = [scrollTop < LOAD_AHEAD, scrollHeight - clientHeight - scrollTop < LOAD_AHEAD];
    // A log that is busy at its end renders no more than it needs.
    if (this.#after > 0 || (this.#before > 0 && (nearStart || !this.#isBusy))) this.#renderMore();
    if (nearStart && this.#before < MAX_NEW) void room.history.loadOlder();
    if (nearEnd && this.#after < MAX_NEW) void room.history.loadNewer();
  }

  /**
   * Loads a part of the missing range that is closest to the middle of the screen, if one is close:
   * its end, or its start if it is below the middle. A reader at the newest message needs the end.
   */
  #fillGap(log: HTMLElement): void {
    const { room } = this.props;
    let [closest, distance]: [Missing | undefined, number] = [undefined, log.clientHeight / 2 + LOAD_AHEAD];
    for (const row of this.#rows) {
      if (row.kind !== 'missing' || row.lost) continue;
      const below = this.#belowMiddle(row);
      if (Math.abs(below) < Math.abs(distance)) [closest, distance] = [row, below];
    }
    if (!closest) return;
    void room.history.fill(closest, room.readState.atLatest || distance < 0, () => {
      const anchor = this.#middleMessage();
      return anchor && this.#rowOf(anchor.row)?.key;
    });
  }

  /** Returns the distance of a row from the middle of the screen, negative above it, in pixels. */
  #belowMiddle({ key }: { readonly key: string }): number {
    const screen = this.#log.current?.getBoundingClientRect();
    const row = this.#elementOf(key);
    if (!screen || !row) return Number.NEGATIVE_INFINITY;
    return row.getBoundingClientRect().top - (screen.top + screen.bottom) / 2;
  }
}
