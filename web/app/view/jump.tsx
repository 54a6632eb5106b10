import type { Conversation } from '../state/conversation.ts';
import { count } from './words.ts';

/** The way back to the newest message, for who has gone back from it. */
export function Jump({ room, onJump }: { room: Conversation; onJump: () => void }) {
  void room.revision.value;
  const below = room.reading.below.value;
  if (below === 0 && !room.timeline.detached) return null;
  return (
    <button type="button" class="jump" onClick={onJump}>
      {below > 0 ? count(below, 'new message') : 'Jump to latest'}
    </button>
  );
}
