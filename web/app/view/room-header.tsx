import type { Chat } from '../state/chat.ts';
import type { Conversation } from '../state/conversation.ts';
import { visibleName } from './format.ts';
import { RoomActions } from './room-actions.tsx';
import { RoomsButton } from './rooms-button.tsx';
import { narrow, pane, togglePane } from './screen.ts';

/**
 * The name of the room, its actions and the number of people. On a narrow screen the actions are in
 * the people pane.
 */
export function RoomHeader({ chat, room }: { chat: Chat; room: Conversation }) {
  return (
    <header class="room-header">
      <RoomsButton unread={chat.unread.value - room.readState.unread.value} />
      <h1>
        <bdi>{visibleName(room.name)}</bdi>
      </h1>
      {!narrow.value && <RoomActions chat={chat} room={room} />}
      <button
        type="button"
        aria-controls="people"
        aria-expanded={pane.value === 'people'}
        onClick={() => togglePane('people')}
      >
        {room.memberCount.value} <span class="wide-only">{room.memberCount.value === 1 ? 'person' : 'people'}</span>{' '}
        online
      </button>
    </header>
  );
}
