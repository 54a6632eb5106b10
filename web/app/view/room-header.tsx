import type { Chat } from '../state/chat.ts';
import type { Conversation } from '../state/conversation.ts';
import { visibleName } from './format.ts';
import { PeopleIcon } from './icons.tsx';
import { RoomMenu } from './room-menu.tsx';
import { RoomsButton } from './rooms-button.tsx';
import { pane, togglePane } from './screen.ts';

/** The name of the room, the number of people and the menu. */
export function RoomHeader({ chat, room }: { chat: Chat; room: Conversation }) {
  const people = room.peopleCount.value; // 0 until the room is joined
  return (
    <header class="room-header">
      <RoomsButton
        unread={chat.unread.value - room.readState.unread.value}
        atMost={chat.unreadAtMost.value}
        mentions={chat.mentions.value - room.readState.mentions.value}
      />
      <h1>
        <bdi>{visibleName(room.name)}</bdi>
      </h1>
      <button
        type="button"
        class="quiet"
        aria-controls="people"
        aria-expanded={pane.value === 'people'}
        onClick={() => togglePane('people')}
      >
        <PeopleIcon />
        <span>
          {people || '…'} <span class="wide-only">{people === 1 ? 'person' : 'people'}</span> online
        </span>
      </button>
      <RoomMenu key={room.name} chat={chat} room={room} />
    </header>
  );
}
