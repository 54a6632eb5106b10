import { Component } from 'preact';
import type { Conversation } from '../state/conversation.ts';
import type { Row } from '../state/rows.ts';
import type { Missing } from '../state/timeline.ts';
import { formatDay, missingText, presenceText } from './format.ts';
import { Message } from './message.tsx';

interface Props {
  readonly row: Row;
  readonly room: Conversation;
}

/** One row of the log. Renders only when its content changes: the rows around it change often. */
export class LogRow extends Component<Props> {
  override shouldComponentUpdate({ row: next }: Props): boolean {
    const { row } = this.props;
    if (row.kind === 'message' && next.kind === 'message') {
      return row.message !== next.message || row.first !== next.first || row.own !== next.own;
    }
    return row.kind !== next.kind || (row.kind !== 'day' && row !== next);
  }

  override render({ row, room }: Props) {
    switch (row.kind) {
      case 'message':
        return <Message {...row.message} first={row.first} own={row.own} />;
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

function MissingRow({ missing, room }: { missing: Missing; room: Conversation }) {
  return (
    <li class="missing">
      <span role={missing.lostCount ? 'alert' : undefined}>{missingText(missing)}</span>
      {!missing.lost && (
        <button type="button" onClick={() => room.fill(missing)}>
          Load
        </button>
      )}
    </li>
  );
}
