import { expect, test } from 'vitest';
import { measureBusyRoom } from './busy.ts';
import { distanceFromEnd, draft, messageTexts, useChat } from './page.ts';

const chat = useChat(['--publish-rate', 'off']);

/** `BUSY_MINUTES=10` measures for longer and prints the result. */
const minutes = Number(process.env['BUSY_MINUTES'] ?? 0.1);

test('stays responsive with constant memory at 5,000 messages a minute', {
  timeout: minutes * 60_000 + 60_000,
}, async () => {
  const page = await chat.openAs('ada', { room: 'busy' });
  const typing = page.locator('#input').pressSequentially('still answering', { delay: 100 });
  const result = await measureBusyRoom(page, chat.bot('bob', 'busy'), 5_000, minutes * 60_000, Math.max(3, minutes));
  await typing;
  if (minutes >= 1) console.log(JSON.stringify(result));
  expect(result.sent).toBeGreaterThan(minutes * 4_500);
  expect(await draft(page)).toBe('still answering');
  expect((await messageTexts(page)).length).toBeLessThanOrEqual(300);
  expect(await distanceFromEnd(page)).toBeLessThan(4);
  // Allows one long task: the machine also runs the server and the sender.
  expect(result.longTasks.filter((ms) => ms > 50).length).toBeLessThanOrEqual(1);
  const [first = 0, ...later] = result.heaps;
  expect(Math.max(...later)).toBeLessThan(first + 2);
  expect(Math.max(...result.nodes)).toBeLessThan(10_000);
});
