import { expect, test, vi } from 'vitest';
import { obtain } from '../../web/app/state/credentials.ts';

vi.stubGlobal('indexedDB', undefined);

const tokenOf = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`;

test('a token is kept under the name of its user, so that another gets nothing of what was unsent', async () => {
  const nameOf = async (token: string) => (await obtain('token', '', token)).name;
  expect(await nameOf(tokenOf({ sub: 'zoë>>?', exp: 1 }))).toBe('zoë>>?');
  for (const token of ['', 'opaque', 'a.b.c', tokenOf({}), tokenOf({ sub: 7 }), tokenOf({ sub: 'x'.repeat(65) })]) {
    expect(await nameOf(token)).toBe('you');
  }
  expect(await obtain('token', '', ' secret \n')).toEqual({ name: 'you', credential: 'secret' });
});
