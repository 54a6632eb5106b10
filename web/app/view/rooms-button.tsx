import { Badge } from './badge.tsx';
import { narrow, pane, togglePane } from './screen.ts';

/** Opens the rooms where there is no room beside the conversation. @param unread in rooms that are not shown. */
export function RoomsButton({ unread }: { unread: number }) {
  if (!narrow.value) return null;
  return (
    <button
      type="button"
      aria-controls="rooms"
      aria-expanded={pane.value === 'rooms'}
      onClick={() => togglePane('rooms')}
    >
      Rooms
      <Badge count={unread} />
    </button>
  );
}
