import { Component } from 'preact';
import type { Conversation } from '../state/conversation.ts';
import { isSame, type Row } from '../state/rows.ts';
import type { Missing } from '../state/timeline.ts';
import { count, formatDay, missingText, presenceText } from './format.ts';
import { Message } from './message.tsx';
import { hasMarkdown } from './rich-text.ts';

interface Props {
  readonly row: Row;
  readonly room: Conversation;
  /** Whether the renderer of Markdown is loaded. */
  readonly rich: boolean;
  /** The user's name, by which messages mention the user. */
  readonly user: string;
}

/** One row of the log. Renders only when its content changes: the rows around it change often. */
export class LogRow extends Component<Props> {
  override shouldComponentUpdate({ row: next, rich, user }: Props): boolean {
    const { row } = this.props;
    if (row.kind === 'message' && next.kind === 'message') {
      if (user !== this.props.user && next.message.text.includes('@')) return true;
      if (rich !== this.props.rich && hasMarkdown(next.message.text)) return true;
      return row.message !== next.message || row.first !== next.first || !isSame(row.author, next.author);
    }
    return row.kind !== next.kind || (row.kind !== 'day' && row !== next);
  }

  override render({ row, room, rich }: Props) {
    switch (row.kind) {
      case 'message':
        return (
          <Message
            message={row.message}
            author={row.author}
            first={row.first}
            rich={rich}
            mentioned={room.mentionsUser(row.message)}
          />
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
    return <li class="muted">Loading {count(missing.to - missing.from + 1, 'message')}…</li>;
  }
  return (
    <li class="missing">
      <span role={missing.lostCount ? 'alert' : undefined}>{missingText(missing)}</span>
      {!missing.lost && (
        <button type="button" onClick={() => room.fill(missing, true, () => undefined)}>
          Try again
        </button>
      )}
    </li>
  );
}
