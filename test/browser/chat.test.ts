import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startServer } from '../server.ts';
import {
  distanceFromEnd,
  draft,
  leaveRoom,
  messageTexts,
  noteTexts,
  send,
  sendLines,
  signInAs,
  useChat,
  waitForMessage,
  waitForStatus,
} from './page.ts';

const chat = useChat({ publishRate: 'off' });

let rooms = 0;
/** Returns the name of a room that no other test uses. */
const newRoom = () => `room ${++rooms}`;

describe('joining', () => {
  test('asks for a name on the first visit, and remembers it', async () => {
    const page = await chat.newPage();
    await page.goto(chat.server().url);
    await signInAs(page, 'ada');
    await page.getByRole('heading', { name: 'lobby' }).waitFor();
    expect(page.url()).toBe(`${chat.server().url}/#/lobby`);
    await page.reload();
    await waitForStatus(page, 'Live');
    expect(await page.locator('.profile-name').textContent()).toContain('ada');
  });

  test('rejects an invalid name', async () => {
    const page = await chat.newPage();
    await page.goto(chat.server().url);
    const field = page.getByLabel('Display name');
    for (const name of ['   ', 'é'.repeat(33)]) {
      await field.fill(name);
      await page.keyboard.press('Enter');
      expect(await field.evaluate((input: HTMLInputElement) => input.validity.valid)).toBe(false);
    }
    await signInAs(page, 'é'.repeat(32));
  });

  test('renames the user at once, for new messages', async () => {
    const name = newRoom();
    const ada = await chat.openAs('ada', { room: name });
    const bob = await chat.openAs('bob', { room: name });
    await send(ada, 'from ada');
    await ada.getByRole('button', { name: 'Rename' }).click();
    await ada.getByLabel('Display name').fill('Ada Lovelace');
    await ada.keyboard.press('Enter');
    await ada.locator('.profile-name').getByText('Ada Lovelace').waitFor();
    await waitForStatus(ada, 'Live');
    await send(ada, 'after renaming');
    await waitForMessage(bob, 'after renaming');
    expect(await bob.locator('.author').allTextContents()).toEqual(['ada', 'Ada Lovelace']);
    expect(await messageTexts(ada)).toEqual(['from ada', 'after renaming']);
  });
});

describe('sending', () => {
  test('shows a message once, as typed', async () => {
    const name = newRoom();
    const [ada, bob] = await Promise.all([chat.openAs('ada', { room: name }), chat.openAs('bob', { room: name })]);
    await ada.getByText('No messages yet').waitFor();
    await send(ada, '  two\n\n  lines  \n');
    await waitForMessage(bob, '  two\n\n  lines');
    await send(bob, 'yes');
    for (const page of [ada, bob]) {
      await waitForMessage(page, 'yes');
      expect(await messageTexts(page)).toEqual(['  two\n\n  lines', 'yes']);
      expect(await page.locator('.unsent').count()).toBe(0);
    }
    expect(await ada.locator('.own .tick').count()).toBe(1);
  });

  test('renders hostile text as text: markup, control characters, bidi overrides, long words', async () => {
    const name = newRoom();
    const [ada, bob] = await Promise.all([
      chat.openAs('ada\u202E', { room: name }),
      chat.openAs('bob', { room: name }),
    ]);
    const texts = [
      '<img src=x onerror="document.title=1"><script>alert(1)</script> &amp; {{x}}',
      'javascript:alert(1) data:text/html,x',
      'a\u0000b\u0007c\u001bd',
      '\u202Eback \u2066isolate',
      'w'.repeat(1_000),
      `a${'\u0301'.repeat(200)}`,
    ];
    for (const text of texts) await send(ada, text);
    await waitForMessage(bob, texts.at(-1) as string);
    // Ignores null characters: some browsers remove them from a field.
    expect((await messageTexts(bob)).map((text) => text.replaceAll('\u0000', ''))).toEqual(
      texts.map((text) => text.replaceAll('\u0000', '')),
    );
    expect(await bob.locator('.text a').count()).toBe(0);
    expect(await bob.locator('.author').first().textContent()).toBe('ada\ufffd');
    expect(await bob.title()).toBe(`${name} · Pumphouse`);
    const log = bob.locator('.log');
    expect(await log.evaluate((element) => element.scrollWidth - element.clientWidth)).toBe(0);
  });

  test('shows emoji and right-to-left scripts unchanged, each text in its own direction', async () => {
    const name = newRoom();
    const [ada, bob] = await Promise.all([chat.openAs('אדה', { room: name }), chat.openAs('bob 👩‍🚒', { room: name })]);
    const texts = ['👩‍👩‍👧‍👦 🏳️‍🌈 👋🏽', 'שלום, world!', 'مرحبا بكم في القناة', 'hello, שלום'];
    for (const text of texts) await send(ada, text);
    await waitForMessage(bob, texts[3] as string);
    expect(await messageTexts(bob)).toEqual(texts);
    const directions = await bob
      .locator('.text')
      .evaluateAll((all) => all.map((text) => getComputedStyle(text).direction));
    expect(directions).toEqual(['ltr', 'rtl', 'rtl', 'ltr']);
    expect(await ada.locator('.profile-name bdi').textContent()).toBe('אדה');
  });

  test('links http(s) URLs only', async () => {
    const name = newRoom();
    const bob = await chat.openAs('bob', { room: name });
    await chat.bot('ada', name).send({
      text: 'see (https://example.com/a_(b)), ftp://example.com, https://user@example.com and www.example.com.',
    });
    const link = bob.locator('.text a');
    await link.waitFor();
    expect(await link.count()).toBe(1);
    expect(await link.getAttribute('href')).toBe('https://example.com/a_(b)');
    expect(await link.getAttribute('rel')).toBe('noopener noreferrer nofollow ugc');
  });

  test('collapses a long message until it is expanded', async () => {
    const name = newRoom();
    const bob = await chat.openAs('bob', { room: name });
    const long = Array.from({ length: 100 }, (_, line) => `line ${line}`).join('\n');
    await chat.bot('ada', name).send({ text: long });
    const fold = bob.getByRole('button', { name: 'Show more' });
    await fold.waitFor();
    expect(await bob.locator('.text').textContent()).toMatch(/line 15…$/);
    await fold.click();
    expect(await bob.locator('.text').textContent()).toBe(long);
    await bob.getByRole('button', { name: 'Show less' }).click();
    await fold.waitFor();
  });

  test('does not send a message over the limit, and keeps the draft', async () => {
    const page = await chat.openAs('ada', { room: newRoom() });
    const long = 'é'.repeat(8_300);
    await page.locator('#input').fill(long);
    await page.getByText(/\d+ bytes over the limit/).waitFor();
    await page.keyboard.press('Enter');
    expect(await draft(page)).toBe(long);
    await page.locator('#input').fill('é'.repeat(8_000));
    await page.getByText(/\d+ bytes left/).waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Show more' }).waitFor();
    expect(await draft(page)).toBe('');
  });

  test('asks before pasting many lines', async () => {
    const page = await chat.openAs('ada', { room: newRoom() });
    const paste = (text: string) =>
      page.locator('#input').evaluate((input: HTMLTextAreaElement, pasted) => {
        const clipboardData = new DataTransfer();
        clipboardData.setData('text/plain', pasted);
        return input.dispatchEvent(new ClipboardEvent('paste', { clipboardData, cancelable: true, bubbles: true }));
      }, text);
    expect(await paste('two\nlines')).toBe(true); // the default action is not prevented
    const many = Array.from({ length: 40 }, (_, line) => `line ${line}`).join('\r\n');
    await page.locator('#input').fill('before ');
    expect(await paste(many)).toBe(false);
    await page.getByRole('dialog', { name: 'Paste 40 lines?' }).getByRole('button', { name: 'Cancel' }).click();
    expect(await draft(page)).toBe('before ');
    await paste(many);
    await page.getByRole('button', { name: 'Paste' }).click();
    expect(await draft(page)).toBe(`before ${many.replaceAll('\r\n', '\n')}`);
    expect(await page.evaluate('document.activeElement.id')).toBe('input');
  });

  test('says that files are not supported when one is pasted or dropped', async () => {
    const page = await chat.openAs('ada', { room: newRoom() });
    const give = (type: 'paste' | 'drop', text: string) =>
      page.locator('#input').evaluate(
        (input, { type, text }) => {
          const data = new DataTransfer();
          data.items.add(new File(['picture'], 'picture.png', { type: 'image/png' }));
          if (text !== '') data.setData('text/plain', text);
          const options = { cancelable: true, bubbles: true };
          return input.dispatchEvent(
            type === 'paste'
              ? new ClipboardEvent('paste', { ...options, clipboardData: data })
              : new DragEvent('drop', { ...options, dataTransfer: data }),
          );
        },
        { type, text },
      );
    const hint = page.getByText('Files are not supported. Only text can be sent.');
    await give('paste', '');
    await hint.waitFor();
    await page.locator('#input').fill('text');
    await expect.poll(() => hint.count()).toBe(0);
    await give('paste', 'a cell of a spreadsheet, with its picture');
    expect(await hint.count()).toBe(0);
    expect(await give('drop', '')).toBe(false); // the browser does not open the file
    await hint.waitFor();
  });
});

describe('the keyboard', () => {
  test('sends on Enter, inserts a line break on Shift+Enter, and ignores an Enter that ends a composition', async () => {
    const page = await chat.openAs('ada', { room: newRoom() });
    expect(await page.evaluate('document.activeElement.id')).toBe('input');
    await page.keyboard.press('Enter');
    await page.keyboard.type('one');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('two');
    for (const composing of [{ isComposing: true }, { keyCode: 229 }]) {
      await page
        .locator('#input')
        .dispatchEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true, ...composing });
    }
    expect(await draft(page)).toBe('one\ntwo');
    await page.keyboard.press('Enter');
    await waitForMessage(page, 'one\ntwo');
    expect(await messageTexts(page)).toEqual(['one\ntwo']);
  });

  test('edits the last message of the user on arrow-up in an empty composer only', async () => {
    const page = await chat.openAs('ada', { room: newRoom() });
    await send(page, 'already sent');
    await waitForMessage(page, 'already sent');
    await page.locator('#input').fill('a draft');
    await page.keyboard.press('ArrowUp');
    expect(await draft(page)).toBe('a draft');
    await page.locator('#input').fill('');
    await page.keyboard.press('ArrowUp');
    await expect.poll(() => draft(page)).toBe('already sent');
  });

  test('inserts a line break on Enter on a touch screen, and sends with the button', async () => {
    const page = await chat.openAs('eve', {
      room: newRoom(),
      hasTouch: true,
      isMobile: true,
      viewport: { width: 390, height: 760 },
    });
    await page.locator('#input').tap();
    await page.keyboard.type('one');
    await page.keyboard.press('Enter');
    await page.keyboard.type('two');
    expect(await draft(page)).toBe('one\ntwo');
    await page.getByRole('button', { name: 'Send' }).tap();
    await waitForMessage(page, 'one\ntwo');
    expect(await page.evaluate('document.activeElement.id')).toBe('input');
  });

  test('moves the focus in visual order', async () => {
    const page = await chat.openAs('ada', { room: newRoom() });
    const name =
      '(e => e.labels?.[0]?.textContent || e.getAttribute("aria-label") || e.textContent)(document.activeElement)';
    await page.locator('nav a').focus();
    const order = [await page.evaluate(name)];
    while (order.length < 12) {
      await page.keyboard.press('Tab');
      order.push(await page.evaluate(name));
    }
    expect(order.map((name) => String(name).replace(/ \d+/, ''))).toEqual([
      'room',
      'Join a room',
      'Join',
      'Rename',
      'Notify me about new messages',
      'Notify me when I am mentioned',
      '1 person online',
      'Room menu',
      'Conversation in room',
      'Message',
      'Emoji',
      'Send',
    ]);
  });
});

describe('rooms', () => {
  test('are joined by name or link, show unread counts, and can be left', async () => {
    const [first, second] = [newRoom(), newRoom()];
    const ada = await chat.openAs('ada', { room: first });
    const bob = await chat.openAs('bob', { room: first });
    await ada.getByLabel('Join a room').fill(`#${second}`);
    await ada.keyboard.press('Enter');
    await ada.getByRole('heading', { name: second }).waitFor();
    expect(decodeURIComponent(ada.url())).toContain(`#/${second}`);

    await send(bob, 'one');
    await send(bob, 'two');
    const link = ada.getByRole('link', { name: `${first} 2 unread` });
    await link.waitFor();
    expect(await ada.title()).toBe(`(2) ${second} · Pumphouse`);
    await link.click();
    await waitForMessage(ada, 'two');
    expect(await ada.locator('.unread-line').count()).toBe(1);
    await ada.getByRole('link', { name: first, exact: true }).waitFor();

    await ada.reload();
    await ada.getByRole('link', { name: second }).waitFor();
    await leaveRoom(ada);
    await ada.getByRole('heading', { name: second }).waitFor();
    await leaveRoom(ada);
    await ada.getByText('You have not joined any rooms').waitFor();
    await bob.locator('.rows').getByText('ada left').waitFor();
  });

  test('remember what was read, and mark what arrived while away as new', async () => {
    const name = newRoom();
    const ada = await chat.openAs('ada', { room: name });
    const bob = chat.bot('bob', name);
    await sendLines(bob, 'early', 3);
    await waitForMessage(ada, 'early 2');
    await ada.waitForFunction(`JSON.parse(localStorage['pumphouse.chat']).seen['${name}']?.seq === 3`);
    await ada.goto('about:blank');
    await sendLines(bob, 'late', 4);
    await ada.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await waitForMessage(ada, 'late 3');
    const rows = await ada.locator('.rows > li').allTextContents();
    expect(rows.indexOf('New') + 1).toBe(rows.findIndex((row) => row.includes('late 0')));
    expect(await messageTexts(ada)).toHaveLength(7);
  });

  test('keep one draft each, also after a reload', async () => {
    const [first, second] = [newRoom(), newRoom()];
    const page = await chat.openAs('ada', { room: first });
    await page.locator('#input').fill('half a thought\nin two lines');
    await page.getByLabel('Join a room').fill(second);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: second }).waitFor();
    expect(await draft(page)).toBe('');
    await page.locator('#input').fill('another');
    await page.reload();
    await waitForStatus(page, 'Live');
    expect(await draft(page)).toBe('another');
    await page.getByRole('link', { name: first }).click();
    await page.getByRole('heading', { name: first }).waitFor();
    expect(await draft(page)).toBe('half a thought\nin two lines');
  });

  test('show two tabs as one person, and share what was read between them', async () => {
    const [name, other] = [newRoom(), newRoom()];
    const one = await chat.openAs('ada', { room: name });
    const two = await chat.newPage(one);
    await two.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await waitForStatus(two, 'Live');
    const bob = chat.bot('bob', name);
    await two.getByLabel('Join a room').fill(other);
    await two.keyboard.press('Enter');
    await two.getByRole('heading', { name: other }).waitFor();
    await one.bringToFront();
    await sendLines(bob, 'line', 3);
    await waitForMessage(one, 'line 2');
    await two.getByRole('link', { name, exact: true }).waitFor(); // nothing unread
    await one.getByRole('button', { name: 'online' }).click();
    await expect.poll(() => one.locator('.people li').allTextContents()).toEqual(['Aadayou', 'Bbob']);
    await two.getByRole('link', { name }).click();
    await two.getByRole('heading', { name }).waitFor();
    await send(one, 'from one');
    await send(two, 'from two');
    for (const page of [one, two]) {
      for (const text of ['from one', 'from two']) await waitForMessage(page, text);
      expect((await messageTexts(page)).slice(-2).sort()).toEqual(['from one', 'from two']);
    }
  });
});

describe('presence', () => {
  test('shows joins and leaves in one line, and omits a user who left and rejoined', async () => {
    const name = newRoom();
    const ada = await chat.openAs('ada', { room: name });
    const others = await Promise.all(['bob', 'carol', 'dave'].map((other) => chat.openAs(other, { room: name })));
    await expect.poll(async () => (await noteTexts(ada)).join()).toMatch(/(bob|carol|dave), \w+ and \w+ joined/);
    await ada.getByRole('button', { name: '4 people online' }).click();
    expect(await ada.locator('.people li').count()).toBe(4);
    await others[0]?.reload();
    await others[2]?.close();
    await expect.poll(() => noteTexts(ada)).toEqual([expect.stringMatching(/^(bob and carol|carol and bob) joined$/)]);
  });

  test('shows who is typing until they send or stop', async () => {
    const name = newRoom();
    const ada = await chat.openAs('ada', { room: name });
    const bob = await chat.openAs('bob', { room: name });
    const line = ada.locator('.typing');
    await bob.locator('#input').pressSequentially('hm');
    await line.getByText('bob is typing…').waitFor();
    await bob.keyboard.press('Enter');
    await waitForMessage(ada, 'hm');
    await expect.poll(() => line.textContent()).toBe('');
    await ada.clock.install();
    await bob.locator('#input').pressSequentially('and');
    await line.getByText('bob is typing…').waitFor();
    await ada.clock.fastForward(7_000);
    await expect.poll(() => line.textContent()).toBe('');
    await bob.locator('#input').fill('');
  });
});

describe('a page in the background', () => {
  test('counts unread messages in the title, and notifies if notifications are on', async () => {
    const name = newRoom();
    const ada = await chat.newPage({ permissions: ['notifications'] });
    await ada.addInitScript(`
      window.notified = [];
      window.Notification = class { static permission = 'granted'; constructor(title, { body }) { notified.push(title + ': ' + body) } close() {} };
      window.away = false;
      Document.prototype.hasFocus = () => !away;
      Object.defineProperty(Document.prototype, 'hidden', { get: () => away });
      window.goAway = (now) => { away = now; document.dispatchEvent(new Event('visibilitychange')) };
    `);
    await ada.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await signInAs(ada, 'ada');
    const bob = chat.bot('bob', name);
    await bob.send({ text: 'seen at once' });
    await waitForMessage(ada, 'seen at once');
    await ada.getByLabel('Notify me about new messages').check();
    await ada.evaluate('goAway(true)');
    await bob.send({ text: 'are you there?' });
    await expect.poll(() => ada.title()).toBe(`(1) ${name} · Pumphouse`);
    await expect.poll(() => ada.evaluate('notified')).toEqual([`bob in ${name}: are you there?`]);
    await ada.evaluate('goAway(false)');
    await expect.poll(() => ada.title()).toBe(`${name} · Pumphouse`);
    expect(await ada.locator('.unread-line').count()).toBe(1);
    await ada.getByLabel('Notify me about new messages').uncheck();
    await ada.evaluate('goAway(true)');
    await bob.send({ text: 'quietly' });
    await expect.poll(() => ada.title()).toContain('(1)');
    expect(await ada.evaluate('notified.length')).toBe(1);
  });
});

test('connects to a server that is pinned to another wire', async () => {
  const pinned = await startServer(['--wire', 'gorilla']);
  chat.onTestEnd(() => pinned.kill('SIGKILL'));
  const page = await chat.openAs('ada', { url: pinned.url });
  const socket = new WebSocket(`${pinned.url.replace('http', 'ws')}/ws`);
  await once(socket, 'open');
  const received = once(socket, 'message');
  await send(page, 'from the page');
  expect(String((await received)[0])).toBe('from the page');
  socket.send('from the other side');
  await waitForMessage(page, 'from the other side');
  socket.terminate();
});

test('stays at the end of the log when messages arrive or the window shrinks', async () => {
  const name = newRoom();
  const page = await chat.openAs('ada', { room: name });
  await sendLines(chat.bot('bob', name), 'line', 80);
  await waitForMessage(page, 'line 79');
  expect(await distanceFromEnd(page)).toBeLessThan(4);
  await page.setViewportSize({ width: 900, height: 400 });
  await expect.poll(() => distanceFromEnd(page)).toBeLessThan(4);
});
