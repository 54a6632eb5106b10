import { Component } from 'preact';
import type { Conversation } from '../state/conversation.ts';
import { isSame, type Row } from '../state/rows.ts';
import type { Missing } from '../state/timeline.ts';
import { hasExtras } from './extras.ts';
import { formatDay, missingCount, missingText, presenceText } from './format.ts';
import { Message } from './message.tsx';
import { hasMarkdown } from './rich-text.ts';

interface Props {
  readonly row: Row;
  readonly room: Conversation;
  /** Whether the page is connected. */
  readonly live: boolean;
  /** Whether the renderer of Markdown is loaded. */
  readonly rich: boolean;
  /** Whether the parts that few messages have are loaded. */
  readonly extras: boolean;
  /** The user's name, by which messages mention the user. */
  readonly user: string;
}

/** One row of the log. Renders only when its content changes: the rows around it change often. */
export class LogRow extends Component<Props> {
  override shouldComponentUpdate({ row: next, live, rich, extras, user }: Props): boolean {
    const { row } = this.props;
    if (row.kind === 'message' && next.kind === 'message') {
      if (user !== this.props.user && next.message.text.includes('@')) return true;
      if (rich !== this.props.rich && hasMarkdown(next.message.text)) return true;
      if ((extras !== this.props.extras || live !== this.props.live) && hasExtras(next.message)) return true;
      return row.message !== next.message || row.first !== next.first || !isSame(row.author, next.author);
    }
    return row.kind !== next.kind || (row.kind !== 'day' && row !== next);
  }

  override render({ row, room, live, rich }: Props) {
    switch (row.kind) {
      case 'message':
        return (
          <Message room={room} message={row.message} author={row.author} first={row.first} live={live} rich={rich} />
        );
      case 'day':
        return (
          <li class="day">
            <span>{formatDay(row.at)}</span>
          </li>
        );
      case 'unread':
        return (
          <li class="unread-line">
            <span>New</span>
          </li>
        );
      case 'presence':
        return <li class="muted">{presenceText(row)}</li>;
      case 'note':
        return <li class="muted">{row.text}</li>;
      case 'missing':
        return <MissingRow missing={row} room={room} />;
    }
  }
}

/** Messages that are not loaded. They load by themselves when they are close to the screen. */
function MissingRow({ missing, room }: { missing: Missing; room: Conversation }) {
  if (!missing.lost && room.error.value === '') {
    return <li class="muted">Loading {missingCount(missing).toLowerCase()}…</li>;
  }
  return (
    <li class="missing">
      <span role={missing.lostCount ? 'alert' : undefined}>{missingText(missing)}</span>
      {!missing.lost && (
        <button type="button" onClick={() => room.history.fill(missing, true, () => undefined)}>
          Try again
        </button>
      )}
    </li>
  );
}
