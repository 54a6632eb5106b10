import { Badge } from './badge.tsx';
import { MenuIcon } from './icons.tsx';
import { narrow, pane, togglePane } from './screen.ts';

/**
 * The button that opens the room list on a narrow screen.
 *
 * @param unread the unread count of the other rooms.
 */
export function RoomsButton({ unread }: { unread: number }) {
  if (!narrow.value) return null;
  return (
    <button
      type="button"
      class="quiet"
      aria-controls="rooms"
      aria-expanded={pane.value === 'rooms'}
      onClick={() => togglePane('rooms')}
    >
      <MenuIcon />
      <span class="visually-hidden">Rooms</span>
      <Badge count={unread} />
    </button>
  );
}
