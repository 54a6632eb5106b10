import { expect, test } from 'vitest';
import { busy } from './busy.ts';
import { draft, fromBottom, said, useChat } from './page.ts';

const chat = useChat(['--publish-rate', 'off']);

/** `BUSY_MINUTES=10` looks for longer, and writes down what it saw. */
const minutes = Number(process.env['BUSY_MINUTES'] ?? 0.1);

test('in a room where 5,000 messages a minute are said the page stays quick and its memory flat', {
  timeout: minutes * 60_000 + 60_000,
}, async () => {
  const page = await chat.person('ada', { room: 'busy' });
  const typing = page.locator('#input').pressSequentially('still answering', { delay: 100 });
  const seen = await busy(page, chat.program('bob', 'busy'), 5_000, minutes * 60_000, Math.max(3, minutes));
  await typing;
  if (minutes >= 1) console.log(JSON.stringify(seen));
  expect(seen.sent).toBeGreaterThan(minutes * 4_500);
  expect(await draft(page)).toBe('still answering');
  expect((await said(page)).length).toBeLessThanOrEqual(300);
  expect(await fromBottom(page)).toBeLessThan(4);
  // One that the machine itself held up is allowed for: it runs the server, the speaker and the browser.
  expect(seen.longTasks.filter((ms) => ms > 50).length).toBeLessThanOrEqual(1);
  const [first = 0, ...later] = seen.heaps;
  expect(Math.max(...later)).toBeLessThan(first + 2);
  expect(Math.max(...seen.nodes)).toBeLessThan(10_000);
});
