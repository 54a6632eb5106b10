import type { Conversation } from '../state/conversation.ts';
import { loadExtras } from './extras.ts';
import { Bubble } from './message.tsx';
import { Text } from './text.tsx';

interface Props {
  readonly room: Conversation;
  readonly live: boolean;
  /** Whether the renderer of Markdown is loaded. */
  readonly rich: boolean;
}

/** The user's messages that are not in the log: rejected, in flight, or queued for a connection. */
export function Unsent({ room, live, rich }: Props) {
  const { pending, failed } = room.outgoing;
  if (pending.value.length + failed.value.length === 0) return null;
  const quoteOf = (reply: number | undefined) => {
    const more = reply === undefined ? undefined : loadExtras();
    return more && <more.Quote room={room} reply={reply as number} />;
  };
  const author = { name: room.user, number: 1, own: true };
  return (
    <ol class="rows unsent" aria-label="Unsent messages">
      {failed.value.map((message, index) => (
        <Bubble key={`failed ${index} ${message.text}`} author={author} first>
          {quoteOf(message.reply)}
          <Text text={message.text} rich={rich} />
          <p class="failed" role="alert">
            Not sent: {message.why}
          </p>
          <p class="buttons">
            <button type="button" onClick={() => room.outgoing.retry(message)}>
              Try again
            </button>
            <button type="button" onClick={() => room.outgoing.discard(message)}>
              Discard
            </button>
          </p>
        </Bubble>
      ))}
      {pending.value.map(({ id, data, reply }, index) => (
        <Bubble key={id} author={author} first={index === 0}>
          {quoteOf(reply)}
          <Text text={data.text} rich={rich} />
          <span class={live ? 'send-status delayed' : 'send-status'}>{live ? 'Sending…' : 'Waiting to send'}</span>
        </Bubble>
      ))}
    </ol>
  );
}
