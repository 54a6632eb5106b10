import type { Conversation } from '../state/conversation.ts';
import { Bubble } from './message.tsx';
import { Text } from './text.tsx';

/** What someone has said that is not in the room: on its way, waiting for a connection, or refused. */
export function Unsent({ room, live }: { room: Conversation; live: boolean }) {
  const { waiting, failed } = room.outgoing;
  if (waiting.value.length + failed.value.length === 0) return null;
  return (
    <ol class="rows unsent" aria-label="Your messages on their way">
      {failed.value.map((message, index) => (
        <Bubble key={`failed ${index} ${message.text}`} from={room.me} first own>
          <Text text={message.text} />
          <p class="failed" role="alert">
            Not sent: {message.why}
          </p>
          <p class="choices">
            <button type="button" onClick={() => room.outgoing.retry(message)}>
              Try again
            </button>
            <button type="button" onClick={() => room.outgoing.discard(message)}>
              Discard
            </button>
          </p>
        </Bubble>
      ))}
      {waiting.value.map(({ id, data }, index) => (
        <Bubble key={id} from={room.me} first={index === 0} own>
          <Text text={data.text} />
          <span class={live ? 'fate soon' : 'fate'}>{live ? 'Sending…' : 'Waiting'}</span>
        </Bubble>
      ))}
    </ol>
  );
}
