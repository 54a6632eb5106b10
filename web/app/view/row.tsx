import { Component } from 'preact';
import type { Conversation } from '../state/conversation.ts';
import type { Row } from '../state/rows.ts';
import type { Missing } from '../state/timeline.ts';
import { Message } from './message.tsx';
import { comingWords, dayOf, missingWords } from './words.ts';

interface Props {
  readonly row: Row;
  readonly room: Conversation;
}

/** One line of the log. It is drawn again only when it says something else: hundreds of others come and go around it. */
export class LogRow extends Component<Props> {
  override shouldComponentUpdate({ row: next }: Props): boolean {
    const { row } = this.props;
    if (row.kind === 'message' && next.kind === 'message') {
      return row.said !== next.said || row.first !== next.first || row.own !== next.own;
    }
    return row.kind !== next.kind || (row.kind !== 'day' && row !== next);
  }

  override render({ row, room }: Props) {
    switch (row.kind) {
      case 'message':
        return <Message {...row.said} first={row.first} own={row.own} />;
      case 'day':
        return (
          <li class="day">
            <span>{dayOf(row.at)}</span>
          </li>
        );
      case 'unread':
        return (
          <li class="unread-line">
            <span>New</span>
          </li>
        );
      case 'coming':
        return <li class="quiet">{comingWords(row)}</li>;
      case 'note':
        return <li class="quiet">{row.text}</li>;
      case 'missing':
        return <Gap missing={row} room={room} />;
    }
  }
}

function Gap({ missing, room }: { missing: Missing; room: Conversation }) {
  return (
    <li class="missing">
      {missingWords(missing)}
      {!missing.lost && (
        <button type="button" onClick={() => room.fill(missing)}>
          Load them
        </button>
      )}
    </li>
  );
}
