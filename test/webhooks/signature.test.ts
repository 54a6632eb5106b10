import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { keyOf, signedHeaders } from '../../src/webhooks/signature.ts';
import { SECRET } from './fixtures.ts';

const encoded = (bytes: number) => `whsec_${Buffer.alloc(bytes, 7).toString('base64')}`;

describe('the signature', () => {
  test('is that of the published example', () => {
    const headers = signedHeaders(
      keyOf(SECRET) as Buffer,
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      1_614_265_330,
      '{"test": 2432232314}',
    );
    expect(headers).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  test('is verified by the library of the specification', () => {
    for (let i = 0; i < 50; i++) {
      const secret = `whsec_${randomBytes(24 + (i % 41)).toString('base64')}`;
      const body = JSON.stringify({ text: `${randomBytes(i).toString('latin1')} 👋` });
      const headers = signedHeaders(keyOf(secret) as Buffer, `msg_${i}`, Math.floor(Date.now() / 1000), body);
      expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body));
    }
  });
});

test.each([
  ['24 bytes', encoded(24), true],
  ['64 bytes', encoded(64), true],
  ['base64 without padding', encoded(25).replace(/=+$/, ''), true],
  ['23 bytes', encoded(23), false],
  ['65 bytes', encoded(65), false],
  ['another prefix', SECRET.replace('whsec', 'whsk'), false],
  ['no prefix', SECRET.slice(6), false],
  ['what is not base64', `whsec_${'?'.repeat(40)}`, false],
])('a secret of %s', (_, secret, isValid) => {
  expect(keyOf(secret) !== undefined).toBe(isValid);
});
