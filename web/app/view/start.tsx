import type { Conversation } from '../state/conversation.ts';

/** What stands before the first message. */
export function Start({ room, empty }: { room: Conversation; empty: boolean }) {
  if (empty) {
    return (
      <div class="empty">
        <p>
          <strong>Nothing said here yet</strong>
        </p>
        <p>Say hello, or send someone the link to this room.</p>
      </div>
    );
  }
  if (room.timeline.before)
    return <p class="quiet start">{room.loading.value ? 'Getting older messages…' : 'Scroll up for older messages'}</p>;
  const first = room.timeline.entries.find((entry) => entry.kind === 'said');
  return (
    <p class="quiet start">
      {first && first.seq > 1 ? 'What was said before is no longer kept' : 'This is where the room begins'}
    </p>
  );
}
