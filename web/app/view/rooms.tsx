import { useSignal } from '@preact/signals';
import { type Chat, hashOf, nameOfRoom } from '../state/chat.ts';
import { Badge } from './badge.tsx';
import { pane } from './screen.ts';
import { visible } from './words.ts';

/** The rooms one is in, with what is unread in each, and how to come into another. */
export function RoomList({ chat }: { chat: Chat }) {
  const trouble = useSignal('');
  const join = (event: SubmitEvent) => {
    event.preventDefault();
    const input = (event.currentTarget as HTMLFormElement).elements.namedItem('room') as HTMLInputElement;
    const name = nameOfRoom(input.value);
    trouble.value = name === undefined && input.value.trim() !== '' ? 'A room has a name of at most 128 bytes.' : '';
    if (name === undefined) return;
    chat.open(name);
    input.value = '';
    pane.value = undefined;
  };
  return (
    <nav id="rooms" aria-label="Rooms">
      <h2>Rooms</h2>
      <ul>
        {chat.rooms.value.map((room) => (
          <li key={room.name}>
            <a
              href={hashOf(room.name)}
              aria-current={room === chat.current.value ? 'page' : undefined}
              data-unread={room.reading.unread.value > 0 || undefined}
              onClick={() => {
                pane.value = undefined;
              }}
            >
              <bdi>{visible(room.name)}</bdi>
              <Badge count={room.reading.unread.value} />
            </a>
          </li>
        ))}
      </ul>
      <form class="join" onSubmit={join}>
        <label for="join">Join a room</label>
        <div class="field">
          <input
            id="join"
            name="room"
            type="text"
            dir="auto"
            autocomplete="off"
            autocapitalize="off"
            placeholder="its name"
            aria-describedby="join-trouble"
          />
          <button type="submit">Join</button>
        </div>
        <p id="join-trouble" class="trouble" role="status">
          {trouble.value}
        </p>
      </form>
    </nav>
  );
}
