import type { Chat } from '../state/chat.ts';
import type { Conversation } from '../state/conversation.ts';
import { Avatar } from './message.tsx';
import { RoomActions } from './room-actions.tsx';
import { closePane, narrow, pane, paneProps } from './screen.ts';
import { visible } from './words.ts';

/** Who is in the room. */
export function People({ chat, room }: { chat: Chat; room: Conversation | undefined }) {
  if (!room || pane.value !== 'people') return null;
  return (
    <div id="people" class="people" {...paneProps(`People in ${visible(room.name)}`)}>
      <div class="title">
        <h2>Here now</h2>
        <button type="button" onClick={closePane}>
          Close
        </button>
      </div>
      {room.people.value === undefined ? (
        <p class="quiet">{room.count.value.toLocaleString()} people, too many to name</p>
      ) : (
        <ul>
          {[...new Set(room.people.value)]
            .sort((a, b) => a.localeCompare(b))
            .map((name) => (
              <li key={name}>
                <Avatar name={visible(name)} />
                <bdi>{visible(name)}</bdi>
                {name === room.me && <span class="you">you</span>}
              </li>
            ))}
        </ul>
      )}
      {narrow.value && <RoomActions chat={chat} room={room} />}
    </div>
  );
}
