/** How many messages are unread; nothing where there are none. */
export function Badge({ count }: { count: number }) {
  if (count === 0) return null;
  return (
    <span class="badge">
      {count > 999 ? '999+' : count}
      <span class="spoken"> unread</span>
    </span>
  );
}
