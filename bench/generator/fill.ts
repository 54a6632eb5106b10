import type { Dialect, Place } from '../dialects/index.ts';
import { Connection } from './connection.ts';
import { messageOf } from './message.ts';

const CHUNK = 500;

/**
 * Says messages in a room, as client 0 would, and waits until each is stored.
 *
 * @returns the place before the first. @throws Error where the dialect knows no such thing, or the server takes one not.
 */
export async function fill(
  url: URL,
  dialect: Dialect,
  { room, count, bytes }: { readonly room: string; readonly count: number; readonly bytes: number },
): Promise<Place> {
  let place: Place | undefined;
  let stored = 0;
  let settle: { resolve(): void; reject(error: Error): void } | undefined;
  const whole = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
  const heard = (payload: Buffer | undefined) => {
    for (const line of String(payload).split('\n')) {
      const said = JSON.parse(line);
      if (said.t === 'joined') place = { epoch: said.epoch, seq: said.seq };
      else if (said.t === 'sent') stored++;
      else if (said.t === 'error') settle?.reject(new Error(`the server does not take it: ${said.code}`));
    }
    if (stored === count) settle?.resolve();
  };
  const closed = (code: number) => settle?.reject(new Error(`the server closed the connection with ${code}`));
  const connection = await Connection.open(url, dialect.protocol, { message: heard, closed });
  try {
    connection.send(dialect.opening(room, undefined));
    const texts = Array.from({ length: count }, (_, seq) => dialect.message(messageOf(0, seq, bytes), room));
    for (let at = 0; at < count; at += CHUNK) connection.send(texts.slice(at, at + CHUNK));
    if (count > 0) await whole;
  } finally {
    await connection.close();
  }
  if (!place) throw new Error('the server did not say where the room begins');
  return place;
}
