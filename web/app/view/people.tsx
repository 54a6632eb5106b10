import type { Conversation } from '../state/conversation.ts';
import { personLabel } from '../state/people.ts';
import { visibleName } from './format.ts';
import { Avatar, PersonName } from './person.tsx';
import { closePane, pane, paneProps } from './screen.ts';

/** The pane that lists the people in the room. */
export function People({ room }: { room: Conversation | undefined }) {
  if (!room || pane.value !== 'people') return null;
  return (
    <div id="people" class="people" {...paneProps(`People in ${visibleName(room.name)}`)}>
      <div class="title">
        <h2>Online</h2>
        <button type="button" class="quiet" onClick={closePane}>
          Close
        </button>
      </div>
      {room.people.value === undefined ? (
        <p class="muted">{room.peopleCount.value.toLocaleString()} people. Large rooms do not list names.</p>
      ) : (
        <ul>
          {room.people.value.map((person) => (
            <li key={personLabel(person)}>
              <Avatar name={person.name} number={person.number} />
              <PersonName person={person} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
