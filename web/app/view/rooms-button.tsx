import { Badge, MentionBadge } from './badge.tsx';
import { MenuIcon } from './icons.tsx';
import { narrow, pane, togglePane } from './screen.ts';

/**
 * The button that opens the room list on a narrow screen.
 *
 * @param unread the unread count of the other rooms.
 *
 * @param mentions how many of their unread messages name the user.
 */
export function RoomsButton({ unread, atMost, mentions }: { unread: number; atMost: boolean; mentions: number }) {
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
      <MentionBadge count={mentions} />
      <Badge count={unread} atMost={atMost} />
    </button>
  );
}
