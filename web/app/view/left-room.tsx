import type { Chat } from '../state/chat.ts';
import { visibleName } from './format.ts';

/** The notice that the user has left a room, with a button to return to it. */
export function LeftRoom({ chat }: { chat: Chat }) {
  const room = chat.leftRoom.value;
  return (
    <div class="toast-anchor">
      <div role="status">
        {room !== undefined && (
          <p class="toast">
            <span>
              You left <bdi>{visibleName(room)}</bdi>
            </span>
            <button type="button" class="quiet" onClick={() => chat.undoLeave()}>
              Undo
            </button>
          </p>
        )}
      </div>
    </div>
  );
}
