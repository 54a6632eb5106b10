import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Chat } from '../state/chat.ts';
import { takeUpdate } from '../state/page-update.ts';
import { connectionText, REMAINING } from './format.ts';

/**
 * The state of the connection, with a button to retry. Nothing is visible while the connection is
 * live.
 */
export function ConnectionStatus({ chat }: { chat: Chat }) {
  const ticks = useSignal(0);
  const connectedBefore = useRef(false);
  const connection = chat.connection.value;
  if (connection.name === 'live') connectedBefore.current = true;
  useEffect(() => {
    if (connection.until === undefined) return;
    const timer = setInterval(() => {
      ticks.value++;
    }, 250);
    return () => clearInterval(timer);
  }, [connection]);
  void ticks.value;
  const text = connectionText(
    connection,
    { reconnect: connectedBefore.current, evicted: chat.evicted.value, pending: chat.pendingCount.value },
    performance.now(),
  );
  // The state `waiting` has no button: the server accepts no earlier attempt.
  const action = { reconnecting: 'Try now', offline: 'Try now', refused: 'Try again' }[connection.name as string];
  // A screen reader would announce each second of the countdown.
  const spoken = text.replace(REMAINING, '');
  const visible = connection.name !== 'live' || chat.evicted.value;
  // Covers the beginning of the log, which does not move.
  return (
    <div class="connection-anchor">
      <span class="visually-hidden" role="status">
        {spoken}
      </span>
      {!visible && takeUpdate.value && (
        <div class="connection" role="status">
          <p>A new version of this page is ready.</p>
          <button type="button" onClick={takeUpdate.value}>
            Reload
          </button>
          <button
            type="button"
            onClick={() => {
              takeUpdate.value = undefined;
            }}
          >
            Later
          </button>
        </div>
      )}
      {visible && (
        <div class="connection" data-state={connection.name}>
          <p aria-hidden="true">{text}</p>
          {action && (
            <button type="button" onClick={() => chat.reconnect()}>
              {action}
            </button>
          )}
        </div>
      )}
    </div>
  );
}
