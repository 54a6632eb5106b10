import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Chat } from '../state/chat.ts';
import { connectionWords } from './words.ts';

/** Where the connection stands, in words, and what can be done about it. */
export function ConnectionLine({ chat }: { chat: Chat }) {
  const ticks = useSignal(0);
  const again = useRef(false);
  const connection = chat.connection.value;
  if (connection.name === 'live') again.current = true;
  useEffect(() => {
    if (connection.name !== 'reconnecting') return;
    const ticking = setInterval(() => {
      ticks.value++;
    }, 250);
    return () => clearInterval(ticking);
  }, [connection]);
  void ticks.value;
  const words = connectionWords(
    connection,
    { again: again.current, cutOff: chat.cutOff.value, waiting: chat.waiting.value },
    performance.now(),
  );
  const action = { reconnecting: 'Now', offline: 'Try now', refused: 'Try again' }[connection.name as string];
  // The seconds that are left are not read out.
  const spoken = words.replace(/ in \d+ s/, '');
  return (
    <div class="connection" data-state={connection.name}>
      <p>
        <span aria-hidden="true">{words}</span>
        <span class="spoken" role="status">
          {spoken}
        </span>
      </p>
      {action && (
        <button type="button" onClick={() => chat.reconnect()}>
          {action}
        </button>
      )}
    </div>
  );
}
