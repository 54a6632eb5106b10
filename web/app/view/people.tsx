import type { Chat } from '../state/chat.ts';
import type { Conversation } from '../state/conversation.ts';
import { visibleName } from './format.ts';
import { Avatar } from './message.tsx';
import { RoomActions } from './room-actions.tsx';
import { closePane, narrow, pane, paneProps } from './screen.ts';

/** The pane that lists the people in the room. */
export function People({ chat, room }: { chat: Chat; room: Conversation | undefined }) {
  if (!room || pane.value !== 'people') return null;
  return (
    <div id="people" class="people" {...paneProps(`People in ${visibleName(room.name)}`)}>
      <div class="title">
        <h2>Online</h2>
        <button type="button" onClick={closePane}>
          Close
        </button>
      </div>
      {room.members.value === undefined ? (
        <p class="muted">{room.memberCount.value.toLocaleString()} people. Large rooms do not list names.</p>
      ) : (
        <ul>
          {[...new Set(room.members.value)]
            .sort((a, b) => a.localeCompare(b))
            .map((name) => (
              <li key={name}>
                <Avatar name={visibleName(name)} />
                <bdi>{visibleName(name)}</bdi>
                {name === room.user && <span class="you">you</span>}
              </li>
            ))}
        </ul>
      )}
      {narrow.value && <RoomActions chat={chat} room={room} />}
    </div>
  );
}
