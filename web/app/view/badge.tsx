/** The number of unread messages. Renders nothing at zero. */
export function Badge({ count }: { count: number }) {
  if (count === 0) return null;
  return (
    <span class="badge">
      {count > 999 ? '999+' : count}
      <span class="visually-hidden"> unread</span>
    </span>
  );
}
