import type { Chat } from '../state/chat.ts';
import type { Conversation } from '../state/conversation.ts';
import { RoomActions } from './room-actions.tsx';
import { RoomsButton } from './rooms-button.tsx';
import { narrow, pane, togglePane } from './screen.ts';
import { visible } from './words.ts';

/** Which room this is, who is there, and what can be done with it: on a narrow screen beside the people. */
export function Head({ chat, room }: { chat: Chat; room: Conversation }) {
  return (
    <header class="head">
      <RoomsButton unread={chat.unread.value - room.reading.unread.value} />
      <h1>
        <bdi>{visible(room.name)}</bdi>
      </h1>
      {!narrow.value && <RoomActions chat={chat} room={room} />}
      <button
        type="button"
        aria-controls="people"
        aria-expanded={pane.value === 'people'}
        onClick={() => togglePane('people')}
      >
        {room.count.value} <span class="wide">{room.count.value === 1 ? 'person' : 'people'}</span> here
      </button>
    </header>
  );
}
