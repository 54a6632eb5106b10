import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { load } from '../../src/config/load.ts';
import { keyOf, signedHeaders } from '../../src/webhooks/signature.ts';

const page = readFileSync('docs/webhooks.md', 'utf8');
const blocksOf = (language: string) =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, text = '']) => text);

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

test('the example of a config file is valid', () => {
  const [text = ''] = blocksOf('json');
  const { settings } = load({ flags: { config: 'c.json' }, env: {}, readFile: () => text, exists: () => true });
  expect(settings).toMatchObject(JSON.parse(text));
});

test('the example of a receiver verifies what the server signs, and nothing else', async () => {
  const [source = ''] = blocksOf('js');
  const { verify } = (await import(`data:text/javascript,${encodeURIComponent(source)}`)) as {
    verify(secret: string, headers: Record<string, string>, body: string): unknown;
  };
  const body = '{"type":"messages","text":"é 👋"}';
  const now = Math.floor(Date.now() / 1000);
  const headers = signedHeaders(keyOf(SECRET) as Buffer, 'msg_1', now, body);
  expect(verify(SECRET, headers, body)).toEqual(JSON.parse(body));
  const several = { ...headers, 'webhook-signature': `v1,AAAA ${headers['webhook-signature']}` };
  expect(verify(SECRET, several, body)).toEqual(JSON.parse(body));
  expect(() => verify(SECRET, headers, `${body} `)).toThrow('not valid');
  expect(() => verify(SECRET, { ...headers, 'webhook-id': 'msg_2' }, body)).toThrow('not valid');
  expect(() => verify(`whsec_${'A'.repeat(32)}`, headers, body)).toThrow('not valid');
  const old = signedHeaders(keyOf(SECRET) as Buffer, 'msg_1', now - 600, body);
  expect(() => verify(SECRET, old, body)).toThrow('too old');
  expect(() => verify(SECRET, {}, body)).toThrow();
});

test('the metrics are those of the server', () => {
  const source = readFileSync('src/observe/webhook-metrics.ts', 'utf8');
  const names = (text: string) => [...new Set(text.match(/pumphouse_webhook_\w+/g))].sort();
  expect(names(page)).toEqual(names(source));
});
