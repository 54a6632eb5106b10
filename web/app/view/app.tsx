import { announcements } from '../state/announcer.ts';
import { type Chat, DEFAULT_ROOM } from '../state/chat.ts';
import { Composer } from './composer.tsx';
import { ConnectionStatus } from './connection.tsx';
import { LeftRoom } from './left-room.tsx';
import { Log } from './log.tsx';
import { Overlays } from './overlays.tsx';
import { People } from './people.tsx';
import { Profile } from './profile.tsx';
import { RoomHeader } from './room-header.tsx';
import { RoomList } from './rooms.tsx';
import { RoomsButton } from './rooms-button.tsx';
import { narrow, pane, paneProps } from './screen.ts';
import { Welcome } from './welcome.tsx';
import { Wordmark } from './wordmark.tsx';

/** The page: the welcome form, or the rooms, the conversation and the people. */
export function App({ chat }: { chat: Chat }) {
  if (chat.name.value === '') return <Welcome chat={chat} />;
  const covered = narrow.value && pane.value !== undefined;
  return (
    <div class="frame" data-pane={pane.value}>
      <div class="sidebar" {...paneProps('Rooms and settings')}>
        <Wordmark />
        <RoomList chat={chat} />
        <Profile chat={chat} />
      </div>
      <main inert={covered}>
        <Conversation chat={chat} />
        <LeftRoom chat={chat} />
      </main>
      <Overlays chat={chat} />
      <People room={chat.current.value} />
      <div class="visually-hidden" role="status">
        {announcements.value.map(({ id, line }) => (
          <p key={id}>{line}</p>
        ))}
      </div>
    </div>
  );
}

function Conversation({ chat }: { chat: Chat }) {
  const room = chat.current.value;
  if (!room) return <NoRoom chat={chat} />;
  return (
    <>
      <RoomHeader chat={chat} room={room} />
      <ConnectionStatus chat={chat} />
      <Log key={room.name} chat={chat} room={room} live={chat.connection.value.name === 'live'} />
      <Composer key={`to ${room.name}`} chat={chat} room={room} />
    </>
  );
}

/** The page while no room is open: the user has joined none, or the link is invalid. */
function NoRoom({ chat }: { chat: Chat }) {
  const error = chat.linkError.value;
  return (
    <>
      {narrow.value && (
        <header class="room-header">
          <RoomsButton unread={chat.unread.value} atMost={chat.unreadAtMost.value} mentions={chat.mentions.value} />
        </header>
      )}
      <ConnectionStatus chat={chat} />
      <div class="empty" role={error ? 'alert' : undefined}>
        <h1>{error ? 'This link does not lead to a room' : 'You have not joined any rooms'}</h1>
        <p>{error || 'Join a room by name.'}</p>
        <p class="buttons">
          <button type="button" class="primary" onClick={() => chat.open(DEFAULT_ROOM)}>
            Go to {DEFAULT_ROOM}
          </button>
        </p>
      </div>
    </>
  );
}
