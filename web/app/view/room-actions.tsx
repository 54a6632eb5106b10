import { useSignal } from '@preact/signals';
import type { Chat } from '../state/chat.ts';
import type { Conversation } from '../state/conversation.ts';
import { Ask } from './ask.tsx';
import { pane } from './screen.ts';
import { count, visible } from './words.ts';

const TOLD_MS = 2_000;

/** What can be done with a room: its link is copied, and it is left. */
export function RoomActions({ chat, room }: { chat: Chat; room: Conversation }) {
  const asking = useSignal(false);
  const copied = useSignal('');
  const waiting = room.outgoing.waiting.value.length;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      copied.value = 'Copied';
    } catch {
      copied.value = 'Not allowed'; // nor is there a clipboard for a page that came over plain HTTP
    }
    setTimeout(() => {
      copied.value = '';
    }, TOLD_MS);
  };
  const leave = () => {
    pane.value = undefined;
    chat.leave(room);
  };
  const ask = () => {
    if (waiting > 0) asking.value = true;
    else leave();
  };
  return (
    <div class="actions">
      <button type="button" onClick={copy}>
        <span role="status">{copied.value || 'Copy link'}</span>
      </button>
      <button type="button" onClick={ask}>
        Leave
      </button>
      {asking.value && (
        <Ask
          title={`Leave ${visible(room.name)}?`}
          yes="Leave"
          onYes={leave}
          onNo={() => {
            asking.value = false;
          }}
        >
          {count(waiting, 'message')} of yours would not be sent.
        </Ask>
      )}
    </div>
  );
}
