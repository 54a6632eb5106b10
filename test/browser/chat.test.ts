import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startServer } from '../server.ts';
import { chatter, draft, enter, fromBottom, notes, said, say, shows, stands, useChat } from './page.ts';

const chat = useChat(['--publish-rate', 'off']);

/** A room of each test's own. */
let rooms = 0;
const room = () => `room ${++rooms}`;

describe('coming in', () => {
  test('the first visit asks for a name, and the next ones know it', async () => {
    const page = await chat.tab();
    await page.goto(chat.server().url);
    await enter(page, 'ada');
    await page.getByRole('heading', { name: 'lobby' }).waitFor();
    expect(page.url()).toBe(`${chat.server().url}/#/lobby`);
    await page.reload();
    await stands(page, 'Live');
    expect(await page.locator('.who').textContent()).toContain('ada');
  });

  test('a name that is none is not taken', async () => {
    const page = await chat.tab();
    await page.goto(chat.server().url);
    const field = page.getByLabel('What should others call you?');
    for (const name of ['   ', 'é'.repeat(33)]) {
      await field.fill(name);
      await page.keyboard.press('Enter');
      expect(await field.evaluate((input: HTMLInputElement) => input.validity.valid)).toBe(false);
    }
    await enter(page, 'é'.repeat(32));
  });

  test('another name counts at once, and others see who is who', async () => {
    const name = room();
    const ada = await chat.person('ada', { room: name });
    const bob = await chat.person('bob', { room: name });
    await say(ada, 'as ada');
    await ada.getByRole('button', { name: 'Rename' }).click();
    await ada.getByLabel('Your name').fill('Ada Lovelace');
    await ada.keyboard.press('Enter');
    await ada.locator('.who').getByText('Ada Lovelace').waitFor();
    await stands(ada, 'Live');
    await say(ada, 'under another name');
    await shows(bob, 'under another name');
    expect(await bob.locator('.author').allTextContents()).toEqual(['ada', 'Ada Lovelace']);
    expect(await said(ada)).toEqual(['as ada', 'under another name']);
  });
});

describe('saying something', () => {
  test('it is there at once, and once, as it was typed', async () => {
    const name = room();
    const [ada, bob] = await Promise.all([chat.person('ada', { room: name }), chat.person('bob', { room: name })]);
    await ada.getByText('Nothing said here yet').waitFor();
    await say(ada, '  two\n\n  lines  \n');
    await shows(bob, '  two\n\n  lines');
    await say(bob, 'yes');
    await shows(ada, 'yes');
    for (const page of [ada, bob]) {
      expect(await said(page)).toEqual(['  two\n\n  lines', 'yes']);
      expect(await page.locator('.unsent').count()).toBe(0);
    }
    expect(await ada.locator('.own .tick').count()).toBe(1);
  });

  test('hostile text is text: markup, control characters, turned directions, endless words', async () => {
    const name = room();
    const [ada, bob] = await Promise.all([
      chat.person('ada\u202E', { room: name }),
      chat.person('bob', { room: name }),
    ]);
    const texts = [
      '<img src=x onerror="document.title=1"><script>alert(1)</script> &amp; {{x}}',
      'javascript:alert(1) data:text/html,x',
      'a\u0000b\u0007c\u001bd',
      '\u202Eback \u2066isolate',
      'w'.repeat(1_000),
      `a${'\u0301'.repeat(200)}`,
    ];
    for (const text of texts) await say(ada, text);
    await shows(bob, texts.at(-1) as string);
    // A null character cannot be typed: a browser drops it from a field or not, but shows the same to all.
    expect((await said(bob)).map((text) => text.replaceAll('\u0000', ''))).toEqual(
      texts.map((text) => text.replaceAll('\u0000', '')),
    );
    expect(await bob.locator('.text a').count()).toBe(0);
    expect(await bob.locator('.author').first().textContent()).toBe('ada\ufffd');
    expect(await bob.title()).toBe(`${name} · Pumphouse`);
    const log = bob.locator('.log');
    expect(await log.evaluate((element) => element.scrollWidth - element.clientWidth)).toBe(0);
  });

  test('emoji and right-to-left scripts arrive whole, each in its own direction', async () => {
    const name = room();
    const [ada, bob] = await Promise.all([chat.person('אדה', { room: name }), chat.person('bob 👩‍🚒', { room: name })]);
    const texts = ['👩‍👩‍👧‍👦 🏳️‍🌈 👋🏽', 'שלום, world!', 'مرحبا بكم في القناة', 'hello, שלום'];
    for (const text of texts) await say(ada, text);
    await shows(bob, texts[3] as string);
    expect(await said(bob)).toEqual(texts);
    const directions = await bob
      .locator('.text')
      .evaluateAll((all) => all.map((text) => getComputedStyle(text).direction));
    expect(directions).toEqual(['ltr', 'rtl', 'rtl', 'ltr']);
    expect(await ada.locator('.who bdi').textContent()).toBe('אדה');
  });

  test('an address of the web is a link, and nothing else is', async () => {
    const name = room();
    const [ada, bob] = await Promise.all([chat.person('ada', { room: name }), chat.person('bob', { room: name })]);
    await say(ada, 'see (https://example.com/a_(b)), ftp://example.com, https://user@example.com and www.example.com.');
    const link = bob.locator('.text a');
    await link.waitFor();
    expect(await link.count()).toBe(1);
    expect(await link.getAttribute('href')).toBe('https://example.com/a_(b)');
    expect(await link.getAttribute('rel')).toBe('noopener noreferrer nofollow');
  });

  test('a long message is folded until someone wants to read it', async () => {
    const name = room();
    const [ada, bob] = await Promise.all([chat.person('ada', { room: name }), chat.person('bob', { room: name })]);
    const long = Array.from({ length: 100 }, (_, line) => `line ${line}`).join('\n');
    await say(ada, long);
    const fold = bob.getByRole('button', { name: 'Show all' });
    await fold.waitFor();
    expect(await bob.locator('.text').textContent()).toMatch(/line 15…$/);
    await fold.click();
    expect(await bob.locator('.text').textContent()).toBe(long);
    await bob.getByRole('button', { name: 'Show less' }).click();
    await fold.waitFor();
  });

  test('what is too long is told before it is sent, and stays', async () => {
    const page = await chat.person('ada', { room: room() });
    const long = 'é'.repeat(8_300);
    await page.locator('#input').fill(long);
    await page.getByText(/\d+ bytes too long to send/).waitFor();
    await page.keyboard.press('Enter');
    expect(await draft(page)).toBe(long);
    await page.locator('#input').fill('é'.repeat(8_000));
    await page.getByText(/\d+ bytes left/).waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Show all' }).waitFor();
    expect(await draft(page)).toBe('');
  });

  test('a paste of many lines asks first, and one of few does not', async () => {
    const page = await chat.person('ada', { room: room() });
    const paste = (text: string) =>
      page.locator('#input').evaluate((input: HTMLTextAreaElement, pasted) => {
        const clipboardData = new DataTransfer();
        clipboardData.setData('text/plain', pasted);
        return input.dispatchEvent(new ClipboardEvent('paste', { clipboardData, cancelable: true, bubbles: true }));
      }, text);
    expect(await paste('two\nlines')).toBe(true); // the browser goes on with it
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
});

describe('the keyboard', () => {
  test('Enter sends, Shift and Enter begin a line, and an Enter that picks a word of an input method does neither', async () => {
    const page = await chat.person('ada', { room: room() });
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
    await shows(page, 'one\ntwo');
    expect(await said(page)).toEqual(['one\ntwo']);
  });

  test('arrow-up changes nothing that was said', async () => {
    const page = await chat.person('ada', { room: room() });
    await say(page, 'said is said');
    await shows(page, 'said is said');
    await page.keyboard.press('ArrowUp');
    expect(await draft(page)).toBe('');
  });

  test('on a touch screen Enter begins a line, and the button sends', async () => {
    const page = await chat.person('eve', {
      room: room(),
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
    await shows(page, 'one\ntwo');
    expect(await page.evaluate('document.activeElement.id')).toBe('input');
  });

  test('all is reached in the order in which it stands', async () => {
    const page = await chat.person('ada', { room: room() });
    const name =
      '(e => e.labels?.[0]?.textContent || e.getAttribute("aria-label") || e.textContent)(document.activeElement)';
    await page.locator('nav a').focus();
    const order = [await page.evaluate(name)];
    while (order.length < 11) {
      await page.keyboard.press('Tab');
      order.push(await page.evaluate(name));
    }
    expect(order.map((name) => String(name).replace(/ \d+/, ''))).toEqual([
      'room',
      'Join a room',
      'Join',
      'Rename',
      'Notify me when I look elsewhere',
      'Copy link',
      'Leave',
      '1 person here',
      'Conversation in room',
      'Message',
      'Send',
    ]);
  });
});

describe('rooms', () => {
  test('one joins by name or by link, sees what is unread elsewhere, and leaves', async () => {
    const [first, second] = [room(), room()];
    const ada = await chat.person('ada', { room: first });
    const bob = await chat.person('bob', { room: first });
    await ada.getByLabel('Join a room').fill(`#${second}`);
    await ada.keyboard.press('Enter');
    await ada.getByRole('heading', { name: second }).waitFor();
    expect(decodeURIComponent(ada.url())).toContain(`#/${second}`);

    await say(bob, 'one');
    await say(bob, 'two');
    const link = ada.getByRole('link', { name: `${first} 2 unread` });
    await link.waitFor();
    expect(await ada.title()).toBe(`(2) ${second} · Pumphouse`);
    await link.click();
    await shows(ada, 'two');
    expect(await ada.locator('.unread-line').count()).toBe(1);
    await ada.getByRole('link', { name: first, exact: true }).waitFor();

    await ada.reload();
    await ada.getByRole('link', { name: second }).waitFor();
    await ada.getByRole('button', { name: 'Leave' }).click();
    await ada.getByRole('heading', { name: second }).waitFor();
    await ada.getByRole('button', { name: 'Leave' }).click();
    await ada.getByText('You are in no room').waitFor();
    await bob.locator('.rows').getByText('ada left').waitFor();
  });

  test('what was read before is read, also after a reload; what came meanwhile is not', async () => {
    const name = room();
    const ada = await chat.person('ada', { room: name });
    const bob = chat.program('bob', name);
    await chatter(bob, 'early', 3);
    await shows(ada, 'early 2');
    await ada.waitForFunction(`JSON.parse(localStorage['pumphouse.chat']).seen['${name}']?.seq === 3`);
    await ada.goto('about:blank');
    await chatter(bob, 'late', 4);
    await ada.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await shows(ada, 'late 3');
    const rows = await ada.locator('.rows > li').allTextContents();
    expect(rows.indexOf('New') + 1).toBe(rows.findIndex((row) => row.includes('late 0')));
    expect(await said(ada)).toHaveLength(7);
  });

  test('what is typed in each room stays there, also after a reload', async () => {
    const [first, second] = [room(), room()];
    const page = await chat.person('ada', { room: first });
    await page.locator('#input').fill('half a thought\nin two lines');
    await page.getByLabel('Join a room').fill(second);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: second }).waitFor();
    expect(await draft(page)).toBe('');
    await page.locator('#input').fill('another');
    await page.reload();
    await stands(page, 'Live');
    expect(await draft(page)).toBe('another');
    await page.getByRole('link', { name: first }).click();
    await page.getByRole('heading', { name: first }).waitFor();
    expect(await draft(page)).toBe('half a thought\nin two lines');
  });

  test('what two tabs of a browser show is one person, and what one has seen is seen in the other', async () => {
    const [name, other] = [room(), room()];
    const one = await chat.person('ada', { room: name });
    const two = await chat.tab(one);
    await two.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await stands(two, 'Live');
    const bob = chat.program('bob', name);
    await two.getByLabel('Join a room').fill(other);
    await two.keyboard.press('Enter');
    await two.getByRole('heading', { name: other }).waitFor();
    await one.bringToFront();
    await chatter(bob, 'line', 3);
    await shows(one, 'line 2');
    await two.getByRole('link', { name, exact: true }).waitFor(); // nothing unread
    await one.getByRole('button', { name: 'here' }).click();
    await expect.poll(() => one.locator('.people li').allTextContents()).toEqual(['Aadayou', 'Bbob']);
    await two.getByRole('link', { name }).click();
    await two.getByRole('heading', { name }).waitFor();
    await say(one, 'from one');
    await say(two, 'from two');
    for (const page of [one, two]) {
      await shows(page, 'from two');
      expect((await said(page)).slice(-2).sort()).toEqual(['from one', 'from two']);
    }
  });
});

describe('who is there', () => {
  test('who comes and goes is told in one quiet line, and who went and came again is not', async () => {
    const name = room();
    const ada = await chat.person('ada', { room: name });
    const others = await Promise.all(['bob', 'carol', 'dave'].map((who) => chat.person(who, { room: name })));
    await expect.poll(async () => (await notes(ada)).join()).toMatch(/(bob|carol|dave), \w+ and \w+ joined/);
    await ada.getByRole('button', { name: '4 people here' }).click();
    expect(await ada.locator('.people li').count()).toBe(4);
    await others[0]?.reload();
    await others[2]?.close();
    await expect.poll(() => notes(ada)).toEqual([expect.stringMatching(/^(bob and carol|carol and bob) joined$/)]);
  });

  test('who is typing is told while it is so', async () => {
    const name = room();
    const ada = await chat.person('ada', { room: name });
    const bob = await chat.person('bob', { room: name });
    const line = ada.locator('.typing');
    await bob.locator('#input').pressSequentially('hm');
    await line.getByText('bob is typing…').waitFor();
    await bob.keyboard.press('Enter');
    await shows(ada, 'hm');
    await expect.poll(() => line.textContent()).toBe('');
    await ada.clock.install();
    await bob.locator('#input').pressSequentially('and');
    await line.getByText('bob is typing…').waitFor();
    await ada.clock.fastForward(7_000);
    await expect.poll(() => line.textContent()).toBe('');
    await bob.locator('#input').fill('');
  });
});

describe('someone who looks elsewhere', () => {
  test('is told by the title, and by a notification if that was asked for', async () => {
    const name = room();
    const ada = await chat.tab({ permissions: ['notifications'] });
    await ada.addInitScript(`
      window.told = [];
      window.Notification = class { static permission = 'granted'; constructor(title, { body }) { told.push(title + ': ' + body) } close() {} };
      window.away = false;
      Document.prototype.hasFocus = () => !away;
      Object.defineProperty(Document.prototype, 'hidden', { get: () => away });
      window.goAway = (now) => { away = now; document.dispatchEvent(new Event('visibilitychange')) };
    `);
    await ada.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await enter(ada, 'ada');
    const bob = chat.program('bob', name);
    await bob.send({ text: 'not told' });
    await shows(ada, 'not told');
    await ada.getByLabel('Notify me when I look elsewhere').check();
    await ada.evaluate('goAway(true)');
    await bob.send({ text: 'are you there?' });
    await expect.poll(() => ada.title()).toBe(`(1) ${name} · Pumphouse`);
    expect(await ada.evaluate('told')).toEqual([`bob in ${name}: are you there?`]);
    await ada.evaluate('goAway(false)');
    await expect.poll(() => ada.title()).toBe(`${name} · Pumphouse`);
    expect(await ada.locator('.unread-line').count()).toBe(1);
    await ada.getByLabel('Notify me when I look elsewhere').uncheck();
    await ada.evaluate('goAway(true)');
    await bob.send({ text: 'quietly' });
    await expect.poll(() => ada.title()).toContain('(1)');
    expect(await ada.evaluate('told.length')).toBe(1);
  });
});

test('the page talks to a server that is pinned to another wire', async () => {
  const pinned = await startServer(['--wire', 'gorilla']);
  chat.after(() => pinned.kill('SIGKILL'));
  const page = await chat.person('ada', { url: pinned.url });
  const socket = new WebSocket(`${pinned.url.replace('http', 'ws')}/ws`);
  await once(socket, 'open');
  const heard = once(socket, 'message');
  await say(page, 'from the page');
  expect(String((await heard)[0])).toBe('from the page');
  socket.send('from the other side');
  await shows(page, 'from the other side');
  socket.terminate();
});

test('someone at the end stays there, whatever comes', async () => {
  const name = room();
  const page = await chat.person('ada', { room: name });
  await chatter(chat.program('bob', name), 'line', 80);
  await shows(page, 'line 79');
  expect(await fromBottom(page)).toBeLessThan(4);
  await page.setViewportSize({ width: 900, height: 400 });
  await expect.poll(() => fromBottom(page)).toBeLessThan(4);
});
