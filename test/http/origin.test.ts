import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { origins as originsSchema } from '../../src/config/schemas.ts';
import { checkOrigin, parseOrigins } from '../../src/http/origin.ts';
import type { HttpRequest } from '../../src/transport/transport.ts';

const allowed = [
  'https://chat.example',
  'https://*.team.example',
  'http://*.dev.example:8080',
  'HTTPS://Port.Example:443',
  'https://*.bücher.example',
  'http://[2001:db8::1]:8080',
  'http://192.0.2.7',
];

const statusOf = (origin: string, host = 'hub.example:9000', origins = allowed) =>
  checkOrigin(
    {
      method: 'GET',
      path: '/ws',
      query: '',
      remoteAddress: '',
      headers: {},
      body: async () => undefined,
      header: (name) => ({ origin, host })[name] ?? '',
    } satisfies HttpRequest,
    origins,
  )?.status;

describe('an origin', () => {
  test.each([
    [''],
    ['https://chat.example'],
    ['https://chat.example:443'],
    ['HTTPS://CHAT.Example'],
    ['https://a.team.example'],
    ['https://a.team.example:443'],
    ['https://a.b.c.team.example'],
    ['https://A.Team.EXAMPLE'],
    ['https://a_b.team.example'],
    ['http://a.dev.example:8080'],
    ['https://port.example'],
    ['https://port.example:443'],
    ['https://a.xn--bcher-kva.example'],
    ['http://[2001:db8::1]:8080'],
    ['http://192.0.2.7'],
    ['http://192.0.2.7:80'],
    ['http://hub.example:9000'],
    ['https://hub.example:9000'],
    ['http://hub.example', 'hub.example'],
    ['http://hub.example', 'HUB.example:80'],
    ['https://hub.example:443', 'hub.example'],
    ['https://hub.example', 'hub.example:443'],
    ['http://hub.example.', 'hub.example.'],
    ['http://[::1]:9000', '[::1]:9000'],
    ['http://localhost:9000', 'localhost:9000'],
  ])('%j is accepted', (origin, host?: string) => {
    expect(statusOf(origin, host)).toBeUndefined();
  });

  test.each([
    // text that ends or starts like an allowed origin
    ['https://evil.com/.team.example'],
    ['https://evil.com/a.team.example'],
    ['https://evil.com?.team.example'],
    ['https://evil.com#.team.example'],
    ['https://evil.com\\.team.example'],
    ['https://evil.com:443/.team.example'],
    ['https://evil.com@a.team.example'],
    ['https://a.team.example@evil.com'],
    ['https://user:secret@chat.example'],
    ['https://chat.example@evil.com'],
    ['https://chat.example.evil.com'],
    ['https://evilteam.example'],
    ['https://evil-team.example'],
    ['https://a.team.example.evil.com'],
    ['https://evil.com%2f.team.example'],
    ['https://evil.com%00.team.example'],
    ['https://evil.com\0.team.example'],
    ['https://evil.com .team.example'],
    ['https://evil.com\t.team.example'],
    ['https://evil.com,.team.example'],
    // a host or a part of it is missing
    ['https://team.example'],
    ['https://.team.example'],
    ['https://..team.example'],
    ['https://a..team.example'],
    ['https://*.team.example'],
    ['https://'],
    ['https:'],
    ['//chat.example'],
    ['chat.example'],
    // more than an origin
    ['https://chat.example/'],
    ['https://chat.example/path'],
    ['https://chat.example?'],
    ['https://chat.example#'],
    ['https://chat.example:'],
    ['https://chat.example '],
    [' https://chat.example'],
    ['https://chat.example https://evil.com'],
    ['https://evil.com https://chat.example'],
    ['https://chat.example, https://chat.example'],
    ['https://chat.example,https://evil.com'],
    ['null'],
    ['null, https://chat.example'],
    ['*'],
    // another scheme or port
    ['http://chat.example'],
    ['http://a.team.example'],
    ['wss://chat.example'],
    ['file://chat.example'],
    ['javascript://chat.example'],
    ['blob:https://chat.example'],
    ['https:chat.example'],
    ['https:/chat.example'],
    ['https:///chat.example'],
    ['https:\\\\chat.example'],
    ['https://chat.example:8443'],
    ['https://chat.example:0443'],
    ['https://chat.example:80'],
    ['https://chat.example:0'],
    ['https://chat.example:99999'],
    ['https://chat.example:443x'],
    ['http://a.dev.example'],
    ['http://a.dev.example:80'],
    // the same host in other words
    ['https://chat.example.'],
    ['https://a.team.example.'],
    ['https://a.team.example..'],
    ['https://chat。example'],
    ['https://ｃhat.example'],
    ['https://ch\u00adat.example'],
    ['https://\u212Ahat.example'],
    ['https://%63hat.example'],
    ['https://a.bücher.example'],
    ['https://xn--\u00fc.team.example'],
    ['https://xn--zzzzzzzzz.team.example'],
    // addresses
    ['http://192.0.2.7.'],
    ['http://0xc0.0.2.7'],
    ['http://3221225991'],
    ['http://192.0.519'],
    ['http://[2001:0db8:0::1]:8080'],
    ['http://[2001:db8::1]'],
    ['http://[2001:db8::1%eth0]:8080'],
    ['http://2001:db8::1:8080'],
    ['http://[::ffff:192.0.2.7]'],
    // almost this host
    ['http://hub.example'],
    ['http://hub.example:9001'],
    ['http://hub.example.:9000'],
    ['http://hub.example:9000/'],
    ['http://x@hub.example:9000'],
    ['ftp://hub.example:9000'],
    ['http://hub.example:9000', ''],
    ['http://hub.example', 'x@hub.example'],
    ['http://hub.example', 'hub.example/'],
    ['http://hub.example', 'hub.example, hub.example'],
  ])('%j is rejected with 403', (origin, host?: string) => {
    expect(statusOf(origin, host)).toBe(403);
  });

  test('is not matched against another list that was parsed before', () => {
    expect(statusOf('https://chat.example', undefined, [])).toBe(403);
    expect(statusOf('https://chat.example')).toBeUndefined();
  });
});

describe('the setting', () => {
  test.each(allowed)('accepts %j', (pattern) => {
    expect(v.parse(originsSchema, pattern)).toEqual([pattern]);
  });

  test.each([
    ['chat.example', 'does not start with https:// or http://'],
    ['ftp://chat.example', 'does not start with https:// or http://'],
    ['*', 'does not start with https:// or http://'],
    ['https://chat.example/', 'has more than scheme, host and port'],
    ['https://*.chat.example/app', 'has more than scheme, host and port'],
    ['https://chat.example?x', 'has more than scheme, host and port'],
    ['https://ada@chat.example', 'has a user name'],
    ['https://*', 'has a * elsewhere than in place of the first labels'],
    ['https://*chat.example', 'has a * elsewhere than in place of the first labels'],
    ['https://a.*.example', 'has a * elsewhere than in place of the first labels'],
    ['https://*.*.example', 'has a * elsewhere than in place of the first labels'],
    ['https://chat.example:*', 'has a * elsewhere than in place of the first labels'],
    ['https://*.192.0.2.7', 'has a * before an address'],
    ['https://*.[::1]', 'has a * before an address'],
    ['https://*.', 'has an invalid host or port'],
    ['https://', 'has an invalid host or port'],
    ['https://chat.example.', 'has an invalid host or port'],
    ['https://chat..example', 'has an invalid host or port'],
    ['https://.chat.example', 'has an invalid host or port'],
    ['https://chat.example:99999', 'has an invalid host or port'],
    ['https://chat.example:x', 'has an invalid host or port'],
    ['https://chat example', 'has an invalid host or port'],
    ['https://chat%2eexample', 'has an invalid host or port'],
    ['https://xn--zzzzzzzzz.example', 'has an invalid host or port'],
  ])('rejects %j: it %s', (pattern, reason) => {
    const { issues } = v.safeParse(originsSchema, ['https://ok.example', pattern]);
    expect(issues?.map(({ message }) => message)).toEqual([
      `is not a list of origins such as https://chat.example or https://*.chat.example: "${pattern}" ${reason}`,
    ]);
    expect(() => parseOrigins([pattern])).toThrow(`the origin "${pattern}" ${reason}`);
  });
});
