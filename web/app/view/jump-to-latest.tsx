import type { Conversation } from '../state/conversation.ts';
import { count } from './format.ts';

/** The button that returns to the newest message. Shown while the log is scrolled back. */
export function JumpToLatest({ room, onJump }: { room: Conversation; onJump: () => void }) {
  void room.revision.value;
  const newBelow = room.readState.newBelow.value;
  if (newBelow === 0 && !room.timeline.detached) return null;
  return (
    <button type="button" class="jump" onClick={onJump}>
      {newBelow > 0 ? count(newBelow, 'new message') : 'Jump to latest'}
    </button>
  );
}
