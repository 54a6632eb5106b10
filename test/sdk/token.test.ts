import { SignJWT } from 'jose';
import { connect, type State } from 'pumphouse/client';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { until } from '../integration/server.ts';
import { createVariantServer } from '../workers/in-thread.ts';
import { variant } from '../workers/variants.ts';

const secret = 'a secret of at least thirty-two bytes';
const sign = (user: string, seconds: number) =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(Buffer.from(secret));

test('renews tokens before they expire, and stops after an invalid one', async () => {
  const server = await createVariantServer(variant, { port: 0, drainWindow: 0, auth: 'jwt', jwtSecret: secret });
  let tokensIssued = 0;
  const token = () => {
    tokensIssued++;
    return sign('ada', 3);
  };
  const hub = connect(server.url, { WebSocket, token });
  const states: State['name'][] = [];
  hub.on('state', ({ name }) => states.push(name));
  const room = hub.join<number>('r');
  expect(await room.send(1)).toBe(1);
  expect(hub.state).toMatchObject({ name: 'live', user: 'ada' });
  await until('the token was renewed twice', () => tokensIssued === 3); // longer than one token lives
  expect(await room.send(2)).toBe(2);
  expect(states.at(-1)).toBe('live');
  expect(states.filter((name) => name === 'reconnecting')).toEqual([]);
  const other = connect(server.url, { WebSocket, token: 'invalid' });
  await until('the invalid token is rejected', () => other.state.name === 'refused');
  expect(other.state).toMatchObject({ code: 4501 });
  hub.close();
  other.close();
  await server.stop();
});
