import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PAGE, settingsPage } from '../../docs/settings.ts';
import { load } from '../../src/config/load.ts';

const page = readFileSync(PAGE, 'utf8');

test('docs/settings.md matches the table of settings', () => {
  expect(page, 'out of date; run npm run docs:settings').toBe(settingsPage());
});

test('the config files in docs/settings.md are valid', () => {
  const examples = [...page.matchAll(/```json\n(.*?)```/gs)].map(([, text = '']) => text);
  expect(examples).toHaveLength(3);
  for (const text of examples) {
    const { settings } = load({ flags: { config: 'c.json' }, env: {}, readFile: () => text, exists: () => true });
    expect(settings).toMatchObject(JSON.parse(text));
  }
});
