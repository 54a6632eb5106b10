import type { ComponentChildren } from 'preact';
import type { Conversation } from '../state/conversation.ts';
import { type Person, personLabel } from '../state/people.ts';
import type { MessageEntry } from '../state/timeline.ts';
import { hasExtras, loadExtras } from './extras.ts';
import { formatTime, formatTimestamp, visibleName } from './format.ts';
import { Avatar, PersonName } from './person.tsx';
import { Text } from './text.tsx';

interface Props {
  readonly room: Conversation;
  readonly message: MessageEntry;
  readonly author: Person;
  /** Whether the message is the first of its group and shows its author. */
  readonly first: boolean;
  /** Whether the page is connected. */
  readonly live: boolean;
  /** Whether the renderer of Markdown is loaded. */
  readonly rich: boolean;
}

/** A message in the log, or one that the log has lost. */
export function Message({ room, message, author, first, live, rich }: Props) {
  const { at, text, lost, deleted, edited, editedAt, reply } = message;
  const mentioned = room.mentionsUser(message);
  const more = hasExtras(message) ? loadExtras() : undefined;
  return (
    <Bubble
      author={author}
      first={first}
      at={at}
      mentioned={mentioned}
      below={more && <more.Below room={room} message={message} live={live} />}
    >
      {mentioned && <span class="visually-hidden">Mentions you: </span>}
      {more && reply !== undefined && !deleted && <more.Quote room={room} reply={reply} />}
      {deleted ? <p class="text muted">Message deleted</p> : <Text text={text} rich={rich} />}
      {edited !== undefined && !deleted && (
        <span class="send-status edited" title={`Edited ${editedAt ? formatTimestamp(editedAt) : ''}`}>
          (edited<span class="visually-hidden">{editedAt && ` ${formatTime(editedAt)}`}</span>)
        </span>
      )}
      {lost ? (
        <span class="send-status">Not stored</span>
      ) : (
        author.own && (
          <span class="tick" title="Sent">
            <span aria-hidden="true">✓</span>
            <span class="visually-hidden">Sent</span>
          </span>
        )
      )}
    </Bubble>
  );
}

interface BubbleProps {
  readonly author: Person;
  readonly first: boolean;
  readonly at?: number;
  readonly mentioned?: boolean;
  readonly below?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** The avatar, author and time around the content of a message. */
export function Bubble({ author, first, at, mentioned, below, children }: BubbleProps) {
  const time = at === undefined ? null : <Time at={at} />;
  return (
    <li class={`message${first ? ' first' : ''}${author.own ? ' own' : ''}${mentioned ? ' mentioned' : ''}`}>
      {first ? <Avatar name={author.name} number={author.number} /> : <span class="hover-time">{time}</span>}
      <div class="body">
        {first && (
          <p class="byline">
            <PersonName person={author} />
            {time}
          </p>
        )}
        <div class="content" {...(!first && groupNamedAfter(author))}>
          {children}
        </div>
        {below}
      </div>
    </li>
  );
}

/**
 * Names the author of a message that does not show it to screen readers. Hidden text would cost
 * more: the browser lays it out and clips it for each message.
 */
function groupNamedAfter(author: Person) {
  return { role: 'group', 'aria-label': personLabel({ ...author, name: visibleName(author.name) }) } as const;
}

function Time({ at }: { at: number }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={formatTimestamp(at)}>
      {formatTime(at)}
    </time>
  );
}
