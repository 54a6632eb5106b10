import './message-extras.css';
import { useEffect } from 'preact/hooks';
import type { Conversation } from '../state/conversation.ts';
import { outgoingChangesOf, rejectionOf, startEdit } from '../state/outgoing-changes.ts';
import { personLabel } from '../state/people.ts';
import { quotesOf } from '../state/quotes.ts';
import type { MessageEntry } from '../state/timeline.ts';
import type { RejectedChange } from '../state/unsaved-change.ts';
import { count as countOf, formatNames, visibleName } from './format.ts';

const MAX_EXCERPT = 200;

/** Returns the beginning of a message in one line, without the characters of Markdown. */
function excerptOf({ text }: MessageEntry): string {
  return text
    .slice(0, MAX_EXCERPT)
    .replace(/```\w*|[*_~`]+(?=\S)|(?<=\S)[*_~`]+|^[>#\s]+/gm, '')
    .replace(/\s+/g, ' ')
    .trim();
}

function authorOf(room: Conversation, message: MessageEntry): string {
  const author = room.authorOf(message);
  return personLabel({ ...author, name: visibleName(author.name) });
}

/** The message that a reply refers to, in one line. A click shows it among those around it. */
export function Quote({ room, reply }: { room: Conversation; reply: number }) {
  const quotes = quotesOf(room);
  const message = quotes.get(reply);
  useEffect(() => quotes.want(reply), [reply, message === undefined]);
  if (message === null) return <p class="quote">The message is no longer kept</p>;
  return (
    <button type="button" class="quote" onClick={() => room.history.showMessage(reply)}>
      <span class="visually-hidden">Reply to </span>
      {message && <b>{authorOf(room, message)}</b>}{' '}
      {message?.deleted ? <i>Message deleted</i> : message && excerptOf(message)}
    </button>
  );
}

/** What is below the text of a message: its reactions, and its changes that are not in the log. */
export function Below({ room, message, live }: { room: Conversation; message: MessageEntry; live: boolean }) {
  const { reactions = [], unsaved = [], rejected = [], deleted } = message;
  const status = unsaved.some((each) => each === 'delete') ? 'Deleting…' : 'Saving…';
  const waits = unsaved.some((each) => each === 'delete' || each === 'edit');
  return (
    <>
      {waits && (
        <span class={live ? 'send-status delayed' : 'send-status'}>{live ? status : 'Waiting for the connection'}</span>
      )}
      {rejected.map((change, index) => (
        <Rejected key={index} room={room} message={message} change={change} />
      ))}
      {!deleted && reactions.length > 0 && (
        // biome-ignore lint/a11y/useSemanticElements: a fieldset is for a form
        <div class="reactions" role="group" aria-label="Reactions">
          {reactions.map(({ reaction, count, users }) => {
            const names = namesOf(users, count);
            return (
              <button
                key={reaction}
                type="button"
                class={unsaved.includes(reaction) ? 'reaction unsaved' : 'reaction'}
                aria-pressed={users.includes(room.user)}
                aria-label={`${reaction} ${count}: ${names}`}
                title={`${names}${unsaved.includes(reaction) ? ' (not saved yet)' : ''}`}
                onClick={() => outgoingChangesOf(room).toggleReaction(message, reaction)}
              >
                <span class="emoji">{reaction}</span> {count.toLocaleString()}
              </button>
            );
          })}
        </div>
      )}
    </>
  );
}

function namesOf(users: readonly string[], total: number): string {
  const others = total - users.length;
  return others > 0 ? `${users.map(visibleName).join(', ')} and ${countOf(others, 'other')}` : formatNames(users);
}

/** A change that the server has rejected. The text of an edit is kept. */
function Rejected({ room, message, change }: { room: Conversation; message: MessageEntry; change: RejectedChange }) {
  const changes = outgoingChangesOf(room);
  return (
    <div class="rejected-edit">
      {change.text !== undefined && <p class="rejected-text">{change.text}</p>}
      <p class="failed" role="alert">
        {rejectionOf(change)}: {change.why}
      </p>
      <p class="buttons">
        {!message.deleted && (
          <button type="button" onClick={() => changes.retry(change)}>
            Try again
          </button>
        )}
        {!message.deleted && change.op === 'edit' && (
          <button
            type="button"
            onClick={() => {
              changes.discard(change);
              startEdit(room, message, change.text);
            }}
          >
            Edit
          </button>
        )}
        <button type="button" onClick={() => changes.discard(change)}>
          {change.op === 'edit' ? 'Discard' : 'Dismiss'}
        </button>
      </p>
    </div>
  );
}

/** The line above the composer that says what it does in place of sending a message. */
export function ModeBar({ room, onCancel }: { room: Conversation; onCancel: () => void }) {
  const mode = room.outgoing.mode.value;
  if (!mode) return null;
  const { kind, message } = mode;
  return (
    <div class="mode">
      <p>
        <b>{kind === 'edit' ? 'Edit message' : `Reply to ${authorOf(room, message)}`}</b> {excerptOf(message)}
      </p>
      <button type="button" class="quiet" onClick={onCancel}>
        Cancel
      </button>
    </div>
  );
}
