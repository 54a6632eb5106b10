import { useSignal } from '@preact/signals';
import type { Chat } from '../state/chat.ts';
import type { Conversation } from '../state/conversation.ts';
import { ConfirmDialog } from './confirm-dialog.tsx';
import { count, visibleName } from './format.ts';
import { pane } from './screen.ts';

/** The time for which the result of copying is visible. */
const RESULT_MS = 2_000;

/** The buttons to copy a room's link and to leave it. */
export function RoomActions({ chat, room }: { chat: Chat; room: Conversation }) {
  const confirming = useSignal(false);
  const copyResult = useSignal('');
  const pending = room.outgoing.pending.value.length;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      copyResult.value = 'Copied';
    } catch {
      copyResult.value = 'Copy failed'; // no permission, or no clipboard API over plain HTTP
    }
    setTimeout(() => {
      copyResult.value = '';
    }, RESULT_MS);
  };
  const leave = () => {
    pane.value = undefined;
    chat.leave(room);
  };
  const confirmAndLeave = () => {
    if (pending > 0) confirming.value = true;
    else leave();
  };
  return (
    <div class="actions">
      <button type="button" onClick={copy}>
        <span role="status">{copyResult.value || 'Copy link'}</span>
      </button>
      <button type="button" onClick={confirmAndLeave}>
        Leave
      </button>
      {confirming.value && (
        <ConfirmDialog
          title={`Leave ${visibleName(room.name)}?`}
          action="Leave"
          onConfirm={leave}
          onClose={() => {
            confirming.value = false;
          }}
        >
          {count(pending, 'unsent message')} will be discarded.
        </ConfirmDialog>
      )}
    </div>
  );
}
