import { announced } from '../state/announcer.ts';
import type { Chat } from '../state/chat.ts';
import { Composer } from './composer.tsx';
import { ConnectionLine } from './connection.tsx';
import { Head } from './head.tsx';
import { Log } from './log.tsx';
import { Me } from './me.tsx';
import { People } from './people.tsx';
import { RoomList } from './rooms.tsx';
import { RoomsButton } from './rooms-button.tsx';
import { narrow, pane, paneProps } from './screen.ts';
import { Welcome } from './welcome.tsx';
import { Wordmark } from './wordmark.tsx';

/** The whole page: the welcome at first, then the rooms, the conversation, and who is there. */
export function App({ chat }: { chat: Chat }) {
  if (chat.name.value === '') return <Welcome chat={chat} />;
  const over = narrow.value && pane.value !== undefined;
  return (
    <div class="frame" data-pane={pane.value}>
      <div class="side" {...paneProps('Rooms and settings')}>
        <Wordmark />
        <RoomList chat={chat} />
        <Me chat={chat} />
      </div>
      <main inert={over}>
        <Conversation chat={chat} />
      </main>
      <People chat={chat} room={chat.current.value} />
      <div class="spoken" role="status">
        {announced.value.map(({ id, line }) => (
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
        <ConnectionLine chat={chat} />
        <div class="empty">
          <h1>You are in no room</h1>
          <p>Join one by its name.</p>
          <RoomsButton unread={0} />
        </div>
      </>
    );
  }
  return (
    <>
      <Head chat={chat} room={room} />
      <ConnectionLine chat={chat} />
      <Log key={room.name} room={room} live={chat.connection.value.name === 'live'} />
      <Composer key={`to ${room.name}`} chat={chat} room={room} />
    </>
  );
}
