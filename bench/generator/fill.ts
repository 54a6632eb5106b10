import type { Place, Wire } from '../wires/index.ts';
import { Connection } from './connection.ts';
import { messageOf } from './message.ts';

const CHUNK = 500;

/**
 * Sends messages to a room as client 0 and waits until all are acknowledged.
 *
 * @returns the place before the first message. @throws Error if the server rejects a message or has
 * no numbered rooms.
 */
export async function fill(
  url: URL,
  wire: Wire,
  { room, count, bytes }: { readonly room: string; readonly count: number; readonly bytes: number },
): Promise<Place> {
  let place: Place | undefined;
  let acknowledged = 0;
  let settle: { resolve(): void; reject(error: Error): void } | undefined;
  const complete = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
  const message = (payload: Buffer | undefined) => {
    for (const line of String(payload).split('\n')) {
      const event = JSON.parse(line);
      if (event.t === 'joined') place = { epoch: event.epoch, seq: event.seq };
      else if (event.t === 'sent') acknowledged++;
      else if (event.t === 'error')
        settle?.reject(new Error(`the server rejects a message of the backlog: ${event.code}`));
    }
    if (acknowledged === count) settle?.resolve();
  };
  const closed = (code: number) => settle?.reject(new Error(`the server closed the connection with ${code}`));
  const connection = await Connection.open(url, wire.protocol, { message, closed });
  try {
    connection.send(wire.join(room, undefined));
    const frames = Array.from({ length: count }, (_, seq) => wire.encode(messageOf(0, seq, bytes), room));
    for (let at = 0; at < count; at += CHUNK) connection.send(frames.slice(at, at + CHUNK));
    if (count > 0) await complete;
  } finally {
    await connection.close();
  }
  if (!place) throw new Error('the server did not confirm the join with a place in the room');
  return place;
}
