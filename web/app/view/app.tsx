import { announcements } from '../state/announcer.ts';
import type { Chat } from '../state/chat.ts';
import { Composer } from './composer.tsx';
import { ConnectionStatus } from './connection.tsx';
import { Log } from './log.tsx';
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
      </main>
      <People chat={chat} room={chat.current.value} />
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
  if (!room) {
    return (
      <>
        <ConnectionStatus chat={chat} />
        <div class="empty">
          <h1>You have not joined any rooms</h1>
          <p>Join a room by name.</p>
          <RoomsButton unread={0} />
        </div>
      </>
    );
  }
  return (
    <>
      <RoomHeader chat={chat} room={room} />
      <ConnectionStatus chat={chat} />
      <Log key={room.name} room={room} live={chat.connection.value.name === 'live'} />
      <Composer key={`to ${room.name}`} chat={chat} room={room} />
    </>
  );
}
