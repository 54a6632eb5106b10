/**
 * The number of unread messages. Renders nothing at zero.
 *
 * @param atMost whether it may be too high
 */
export function Badge({ count, atMost = false }: { count: number; atMost?: boolean }) {
  if (count === 0) return null;
  return (
    <span class="badge">
      {atMost && '≤'}
      {shortened(count)}
      <span class="visually-hidden"> unread</span>
    </span>
  );
}

/** The number of unread messages that name the user. Renders nothing at zero. */
export function MentionBadge({ count }: { count: number }) {
  if (count === 0) return null;
  return (
    <span class="badge mention-badge">
      <span aria-hidden="true">@</span>
      {shortened(count)}
      <span class="visually-hidden">{count === 1 ? ' mentions you, ' : ' mention you, '}</span>
    </span>
  );
}

function shortened(count: number): string {
  return count > 999 ? '999+' : String(count);
}
