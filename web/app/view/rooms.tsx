import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { type Chat, hashOf, parseRoomName } from '../state/chat.ts';
import { Badge, MentionBadge } from './badge.tsx';
import { visibleName } from './format.ts';
import { pane } from './screen.ts';

/**
 * The joined rooms with their unread counts, and the form to join another. The list scrolls, and
 * the form stays on the screen.
 */
export function RoomList({ chat }: { chat: Chat }) {
  const error = useSignal('');
  const list = useRef<HTMLUListElement>(null);
  const current = chat.current.value;
  useEffect(() => {
    list.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' });
  }, [current, pane.value]);
  const join = (event: SubmitEvent) => {
    event.preventDefault();
    const input = (event.currentTarget as HTMLFormElement).elements.namedItem('room') as HTMLInputElement;
    const name = parseRoomName(input.value);
    error.value = name === undefined && input.value.trim() !== '' ? 'Room names can have at most 128 bytes.' : '';
    if (name === undefined) return;
    chat.open(name);
    input.value = '';
    pane.value = undefined;
  };
  return (
    <nav id="rooms" aria-label="Rooms">
      <h2>Rooms</h2>
      <ul ref={list}>
        {chat.rooms.value.map((room) => (
          <li key={room.name}>
            <a
              href={hashOf(room.name)}
              aria-current={room === current ? 'page' : undefined}
              data-unread={room.readState.unread.value > 0 || undefined}
              onClick={() => {
                pane.value = undefined;
              }}
            >
              <bdi>{visibleName(room.name)}</bdi>
              <MentionBadge count={room.readState.mentions.value} />
              <Badge count={room.readState.unread.value} atMost={room.readState.unreadAtMost.value} />
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
            placeholder="Room name"
            aria-describedby="join-error"
          />
          <button type="submit">Join</button>
        </div>
        <p id="join-error" class="error" role="status">
          {error.value}
        </p>
      </form>
    </nav>
  );
}
