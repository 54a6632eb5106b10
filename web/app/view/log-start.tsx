import type { Conversation } from '../state/conversation.ts';

/** The text above the first message. */
export function LogStart({ room, empty }: { room: Conversation; empty: boolean }) {
  if (empty) {
    return (
      <div class="empty">
        <p>
          <strong>No messages yet</strong>
        </p>
        <p>Say hello, or share the link to this room.</p>
      </div>
    );
  }
  if (room.timeline.before) {
    return (
      <p class="muted log-start">
        {room.history.loading.value ? 'Loading older messages…' : 'Scroll up for older messages'}
      </p>
    );
  }
  const first = room.timeline.entries.find((entry) => entry.kind === 'message');
  return (
    <p class="muted log-start">
      {first && first.seq > 1 ? 'Older messages are no longer available' : 'This is the beginning of the room'}
    </p>
  );
}
