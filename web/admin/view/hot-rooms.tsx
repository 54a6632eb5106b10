import { useComputed, useSignal } from '@preact/signals';
import type { HotRoom, Snapshot } from '../../../src/protocol/snapshot.ts';
import { visibleName } from '../state/names.ts';
import { formatCount, formatRate } from './format.ts';

interface Row extends Omit<HotRoom, 'seq'> {
  /** Each message goes to each member. */
  readonly deliveries: number;
}

type Column = keyof Row;

const COLUMNS: readonly { readonly column: Column; readonly label: string }[] = [
  { column: 'name', label: 'Room' },
  { column: 'members', label: 'Members' },
  { column: 'messages', label: 'Messages/s' },
  { column: 'deliveries', label: 'Deliveries/s' },
  { column: 'parked', label: 'Parked' },
  { column: 'catchingUp', label: 'Catching up' },
  { column: 'maxLag', label: 'Max lag' },
];

/** Returns the rooms as rows, with rates per second. */
function rowsOf({ hottest, elapsed }: Snapshot): Row[] {
  const seconds = Math.max(1, elapsed) / 1000;
  return hottest.map((room) => {
    const messages = room.messages / seconds;
    return { ...room, messages, deliveries: messages * room.members };
  });
}

function compare(column: Column, descending: boolean): (a: Row, b: Row) => number {
  const sign = descending ? -1 : 1;
  return (a, b) => {
    const [one, other] = [a[column], b[column]];
    if (one !== other) return one < other ? -sign : sign;
    return a.name < b.name ? -1 : 1;
  };
}

/** The busiest rooms of the last second, of all threads. */
export function HotRooms({ snapshot }: { snapshot: Snapshot }) {
  const column = useSignal<Column>('deliveries');
  const descending = useSignal(true);
  const order = useComputed(() => compare(column.value, descending.value));
  const rows = rowsOf(snapshot).sort(order.value);
  const sortBy = (next: Column) => {
    descending.value = next === column.value ? !descending.value : next !== 'name';
    column.value = next;
  };
  return (
    <section class="panel" data-panel="rooms" aria-labelledby="panel-rooms">
      <header>
        <h2 id="panel-rooms">Hottest rooms</h2>
        <span class="unit">the last second, of all threads</span>
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard */}
      <section class="scroll" tabIndex={0} aria-label="Table of the hottest rooms">
        <table>
          <thead>
            <tr>
              {COLUMNS.map(({ column: name, label }) => (
                <th
                  key={name}
                  scope="col"
                  aria-sort={name === column.value ? (descending.value ? 'descending' : 'ascending') : undefined}
                >
                  <button type="button" onClick={() => sortBy(name)}>
                    {label}
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <RoomRow key={row.name} row={row} />
            ))}
          </tbody>
        </table>
        {rows.length === 0 && <p class="empty">No room was busy in the last second.</p>}
      </section>
      <p class="normal">Normal: no members parked or catching up, and a lag of 0 between turns.</p>
    </section>
  );
}

function RoomRow({ row }: { row: Row }) {
  const name = visibleName(row.name);
  return (
    <tr>
      <th scope="row" title={name}>
        <bdi>{name}</bdi>
      </th>
      <td>{formatCount(row.members)}</td>
      <td>{formatRate(row.messages)}</td>
      <td>{formatRate(row.deliveries)}</td>
      <td data-some={row.parked > 0}>{formatCount(row.parked)}</td>
      <td data-some={row.catchingUp > 0}>{formatCount(row.catchingUp)}</td>
      <td data-some={row.maxLag > 0}>{formatCount(row.maxLag)}</td>
    </tr>
  );
}
