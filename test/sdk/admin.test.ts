import { join } from 'node:path';
import { connect } from 'pumphouse/client';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { ApiClient, JWT_SECRET, newFolder, tokenOf } from '../api/api-client.ts';
import { waitUntil } from '../redis/wait.ts';
import { createVariantServer } from '../workers/in-thread.ts';
import { variant } from '../workers/variants.ts';

const jwt = { auth: 'jwt', jwtSecret: JWT_SECRET } as const;

test('answers the request for a new token, and leaves a room that it was removed from', async () => {
  const api = new ApiClient();
  const server = await createVariantServer(variant, {
    port: 0,
    drainWindow: 0,
    keys: api.file,
    revocations: join(newFolder(), 'revoked.json'),
    ...jwt,
  });
  onTestFinished(() => server.stop());
  let tokens = 0;
  const token = () => {
    tokens++;
    return tokenOf('ada');
  };
  const hub = connect(server.url, { WebSocket, token });
  onTestFinished(() => hub.close());
  const states: string[] = [];
  hub.on('state', ({ name }) => states.push(name));
  const [room, other] = [hub.join<number>('r'), hub.join<number>('s')];
  await Promise.all([room.send(1), other.send(1)]);
  expect((await api.post(server.url, '/users/ada/refresh', { within: 1 })).body).toMatchObject({ asked: 1 });
  await waitUntil('it has asked for a token again', () => tokens === 2);
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  expect(await room.send(2)).toBe(2);
  const removed: string[] = [];
  room.on('removed', ({ code, message }) => removed.push(`${code}: ${message}`));
  await api.post(server.url, '/users/ada/leave', { room: 'r' });
  await waitUntil('it is removed', () => removed.length > 0);
  expect(removed).toEqual(['removed: removed from the room r']);
  await expect(room.send(3)).rejects.toMatchObject({ code: 'removed', room: 'r' });
  expect(await other.send(2)).toBe(2);
  await waitUntil('a second begins', () => Date.now() % 1000 < 100);
  await api.post(server.url, '/users/ada/revoke');
  await waitUntil('it is back with a newer token', () => hub.state.name === 'live' && tokens > 3);
  expect(states).not.toContain('refused');
  expect(await hub.join<number>('r').send(3)).toBe(3);
});
