import type { Conversation } from '../state/conversation.ts';
import { count } from './format.ts';
import { ArrowDown } from './icons.tsx';

/**
 * The button that returns to the newest message, with the number of unread messages. Shown while
 * the log is scrolled back.
 */
export function JumpToLatest({ room, onJump }: { room: Conversation; onJump: () => void }) {
  void room.revision.value;
  const unread = room.readState.unread.value;
  const scrolledBack = !room.readState.atLatest && (unread > 0 || room.history.atLink.value);
  if (!scrolledBack && !room.timeline.detached) return null;
  return (
    <button type="button" class="jump primary" onClick={onJump}>
      {unread > 0
        ? `${room.readState.unreadAtMost.value ? 'Up to ' : ''}${count(unread, 'new message')}`
        : 'Jump to latest'}
      <ArrowDown />
    </button>
  );
}
