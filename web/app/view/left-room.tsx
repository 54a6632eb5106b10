import type { Chat } from '../state/chat.ts';
import { visibleName } from './format.ts';

/**
 * The notice that the user has left a room, with a button to return to it, or was removed from it;
 * and what the user has just done.
 */
export function LeftRoom({ chat }: { chat: Chat }) {
  const left = chat.leftRoom.value;
  return (
    <div class="toast-anchor">
      <div role="status">
        {left !== undefined && (
          <p class={left.removed ? 'toast notice' : 'toast'}>
            <span>
              {left.removed ? 'You were removed from ' : 'You left '}
              <bdi>{visibleName(left.name)}</bdi>
            </span>
            {!left.removed && (
              <button type="button" class="quiet" onClick={() => chat.undoLeave()}>
                Undo
              </button>
            )}
          </p>
        )}
        {left === undefined && chat.notice.value !== '' && <p class="toast notice">{chat.notice.value}</p>}
      </div>
    </div>
  );
}
