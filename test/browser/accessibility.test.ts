import type { BrowserContextOptions, Locator, Page, WebSocketRoute } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import type { ClientMessage, ServerMessage } from '../../src/protocol/v1.ts';
import { expectAccessible } from './axe.ts';
import { actOn, leaveRoom, sendLines, useChat, waitForMessage, waitForStatus } from './page.ts';

const chat = useChat(['--publish-rate', 'off']);
test('respects prefers-reduced-motion', async () => {
  const page = await chat.newPage({ reducedMotion: 'reduce' });
  await page.routeWebSocket(/\/ws/, () => {}); // never completes the handshake
  await page.goto(chat.server().url);
  await page.getByLabel('Display name').fill('ada');
  await page.keyboard.press('Enter');
  await waitForStatus(page, 'Connecting…');
  expect(await page.evaluate('document.getAnimations().length')).toBe(0);
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  expect(await page.evaluate('document.getAnimations().length')).toBe(1);
});

test('moves the focus to the field for another name before it handles another event', async () => {
  const page = await chat.openAs('eve', { room: 'renaming' });
  const focused = await page.getByRole('button', { name: 'Rename' }).evaluate(async (button: HTMLElement) => {
    button.click();
    for (let i = 0; i < 10; i++) await undefined; // microtasks only
    return document.activeElement?.id;
  });
  expect(focused).toBe('name');
});

test('moves the focus into a pane on a phone, and back, before it handles another event', async () => {
  const page = await chat.openAs('eve', { room: 'panes', ...phone });
  const focusedAfter = (script: string) =>
    page.evaluate<string>(`(async () => {
      ${script};
      for (let i = 0; i < 10; i++) await undefined; // microtasks only
      const { activeElement } = document;
      const opened = activeElement.getAttribute('aria-controls');
      return opened ? \`the button of \${opened}\` : \`in \${activeElement.closest('#rooms, #people')?.id}\`;
    })()`);
  const press = `document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }))`;
  for (const name of ['rooms', 'people']) {
    expect(await focusedAfter(`document.querySelector('[aria-controls="${name}"]').click()`)).toBe(`in ${name}`);
    expect(await focusedAfter(press)).toBe(`the button of ${name}`);
  }
});

test('leaves the last room on a phone, and joins another', async () => {
  const page = await chat.openAs('eve', { room: 'last', ...phone });
  await leaveRoom(page);
  await page.getByText('You have not joined any rooms').waitFor();
  await page.getByRole('button', { name: 'Rooms' }).click();
  await page.getByLabel('Join a room').fill('another');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'another' }).waitFor();
});

test('keeps the composer and the last message visible when a phone’s keyboard opens', async () => {
  const page = await chat.openAs('eve', { room: 'keyboard', ...phone });
  await sendLines(chat.bot('bob', 'keyboard'), 'line', 40);
  await waitForMessage(page, 'line 39');
  await page.setViewportSize({ width: 390, height: 330 });
  await expect
    .poll(() => page.locator('#input').evaluate((input) => innerHeight - input.getBoundingClientRect().bottom))
    .toBeGreaterThan(0);
  await expect
    .poll(() =>
      page
        .locator('.text')
        .last()
        .evaluate((text) => text.getBoundingClientRect().bottom < innerHeight - 80),
    )
    .toBe(true);
});

test('stays at the last message when a phone’s keyboard opens while messages arrive', async () => {
  const page = await chat.openAs('eve', { room: 'keyboard and messages', ...phone });
  await sendLines(chat.bot('bob', 'keyboard and messages'), 'line', 40);
  await waitForMessage(page, 'line 39');
  // The browser dispatches the scroll to a new message before it reports the new size of the log.
  const fromEnd = await page.evaluate(async () => {
    const log = document.querySelector('.log') as HTMLElement;
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    document.documentElement.style.setProperty('--height', '330px');
    log.dispatchEvent(new Event('scroll'));
    for (let i = 0; i < 3; i++) await frame();
    return { height: log.clientHeight, fromEnd: log.scrollHeight - log.clientHeight - log.scrollTop };
  });
  expect(fromEnd.height).toBeLessThan(300);
  expect(fromEnd.fromEnd).toBeLessThan(1);
});

const desktop = { viewport: { width: 1100, height: 720 } };
const phone = { viewport: { width: 390, height: 760 }, hasTouch: true, isMobile: true };

describe.each([
  ['a desktop', desktop],
  ['a phone', phone],
] satisfies [string, BrowserContextOptions][])('accessibility on %s, in light and in dark', (name, options) => {
  test('has no violations on the welcome page, in an empty room, in a conversation and with each pane open', async () => {
    const page = await chat.newPage(options);
    await page.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await page.getByLabel('Display name').waitFor();
    await expectAccessible(page, 'welcome');
    await page.getByLabel('Display name').fill('ada');
    await page.keyboard.press('Enter');
    await waitForStatus(page, 'Live');
    await expectAccessible(page, 'empty room');

    const bob = chat.bot('bob', name);
    await sendLines(bob, 'line', 20);
    await bob.send({ text: 'see https://example.com and שלום' });
    await bob.send({
      text: '**bold**, `code`, [a link](https://example.com/a) for @ada and @bob\n> quoted\n- one\n1) two',
    });
    await bob.send({ text: '```js\nconst pump = open();\n```' });
    await page.locator('.code-block').waitFor();
    await page.locator('#input').fill('mine');
    await page.getByRole('button', { name: 'Send' }).click();
    await waitForMessage(page, 'mine');
    await page.getByRole('button', { name: /online$/ }).click();
    await page.locator('#people').waitFor();
    await expectAccessible(page, 'people');
    await page.getByRole('button', { name: 'Close' }).click();
    const roomsButton = page.getByRole('button', { name: /^Rooms/ });
    if (await roomsButton.isVisible()) {
      await roomsButton.click();
      await expectAccessible(page, 'rooms pane');
      await page.keyboard.press('Escape');
      await expect.poll(() => roomsButton.evaluate((button) => button === document.activeElement)).toBe(true);
    }
    await page.locator('.log').evaluate((log) => log.scrollTo(0, 0));
    await bob.send({ text: 'one more' });
    await page.getByRole('button', { name: '1 new message' }).waitFor();
    await expectAccessible(page, 'jump to new messages');
  });

  test('has no violations at unread messages, beside a namesake, in the menu, after leaving, and at a bad link', async () => {
    const room = `busy ${name}`;
    const bob = chat.bot('bob', room);
    const page = await chat.openAs('ada', { ...options, room });
    await chat.bot('ada', room).send({ text: 'from the other ada' });
    await waitForMessage(page, 'from the other ada');
    await page.goto(`${chat.server().url}/#/beside`);
    await page.getByRole('heading', { name: 'beside' }).waitFor();
    await sendLines(bob, 'new', 80);
    // Messages that arrived in the open room would be seen.
    await page.locator('.badge', { hasText: /^80/ }).first().waitFor({ state: 'attached' });
    await page.goto(`${chat.server().url}/#/${encodeURIComponent(room)}`);
    await page.locator('.unread-line').waitFor();
    await page.getByRole('button', { name: /new messages$/ }).waitFor();
    await expectAccessible(page, 'unread messages');
    await page.getByRole('button', { name: /new messages$/ }).click();
    await page.locator('#input').fill('mine');
    await page.getByRole('button', { name: 'Send' }).click();
    await waitForMessage(page, 'mine');
    await page
      .getByRole('button', { name: '3 online' })
      .or(page.getByRole('button', { name: '3 people' }))
      .click();
    await page.locator('#people').getByText('(2)').waitFor();
    await expectAccessible(page, 'namesakes');
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('button', { name: 'Room menu' }).click();
    await expectAccessible(page, 'room menu');
    await page.getByRole('button', { name: 'Leave room' }).click();
    await page.getByRole('button', { name: 'Undo' }).waitFor();
    await expectAccessible(page, 'left a room');
    await page.goto(`${chat.server().url}/#/${'x'.repeat(200)}`);
    await page.getByRole('button', { name: 'Go to lobby' }).waitFor();
    await expectAccessible(page, 'link to no room');
  });

  test('has no violations while reconnecting, offline, waiting and refused, and in a dialog', async () => {
    const page = await chat.newPage(options);
    let closeCode = 0;
    let disconnect = () => {};
    await page.routeWebSocket(/\/ws/, (socket) => {
      if (closeCode === 4005) {
        socket.send('{"t":"error","code":"too_many_connections","message":"","retry":true,"retryAfter":3000}');
      }
      if (closeCode > 0) socket.close({ code: closeCode, reason: 'not now' });
      else {
        socket.connectToServer();
        disconnect = () => socket.close({ code: 1001 });
      }
    });
    await page.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await page.getByLabel('Display name').fill('ada');
    await page.keyboard.press('Enter');
    await waitForStatus(page, 'Live');
    // The actions are loaded first: axe cannot read styles that fail to load offline.
    await chat.bot('bob', name).send({ text: 'before' });
    await waitForMessage(page, 'before');
    await page.locator('.message').last().hover();
    await page.getByRole('group', { name: 'Actions for the message of bob' }).waitFor();
    closeCode = 1013;
    disconnect();
    await waitForStatus(page, /Reconnecting in/);
    await page.locator('#input').fill('waits');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('.unsent').getByText('Waiting to send').waitFor();
    await expectAccessible(page, 'reconnecting, with an unsent message');
    await leaveRoom(page);
    await page.getByRole('dialog', { name: 'Leave' }).waitFor();
    await expectAccessible(page, 'leave with unsent messages');
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.context().setOffline(true);
    await waitForStatus(page, /^Offline/);
    await expectAccessible(page, 'offline');
    closeCode = 4005;
    await page.context().setOffline(false);
    await waitForStatus(page, /^Not now\. Trying again in/);
    await expectAccessible(page, 'waiting');
    closeCode = 4500;
    await waitForStatus(page, /^Disconnected/);
    await expectAccessible(page, 'refused');
  });

  test('has no violations with changed messages, their actions, completion, and each dialog', {
    timeout: 90_000,
  }, async () => {
    const page = await chat.newPage({ ...options, permissions: ['notifications'] });
    await page.addInitScript(WITH_NEW_VERSION);
    await page.addInitScript(`localStorage['pumphouse.chat'] ??= '{"name":"ada"}'`);
    const room = `changes on ${name}`;
    const bob = chat.bot('bob', room);
    const mine = await openChanged(page, room, bob);
    const check = (state: string) => expectAccessible(page, state);
    await page.getByText('A new version of this page is ready.').waitFor();
    await check('changed messages, and a new version');
    await page.getByRole('button', { name: 'Later' }).click();

    const actions = page.getByRole('dialog', { name: /^Actions/ });
    const reactions = page.getByRole('dialog', { name: 'React' });
    const emoji = page.getByRole('dialog', { name: 'Emoji' });
    const row = page.locator('.rows > .message', { hasText: mine });
    if (options === phone) {
      await row.locator('.text').dispatchEvent('pointerdown', { pointerType: 'touch', bubbles: true });
    } else {
      await row.hover();
      await page.getByRole('group', { name: /^Actions/ }).waitFor();
      await check('actions beside a message');
      await actOn(page, mine, 'React');
      await reactions.waitFor();
      await check('reactions');
      await page.keyboard.press('Escape');
      await focus(row);
      await page.keyboard.press('Enter');
    }
    await actions.waitFor();
    await check('actions in a dialog');
    await actions.getByRole('button', { name: 'Delete' }).click();
    const deletion = page.getByRole('dialog', { name: 'Delete this message?' });
    await deletion.waitFor();
    await check('deletion');
    await deletion.getByRole('button', { name: 'Cancel' }).click();

    const input = page.locator('#input');
    await input.press('ArrowUp');
    await page.locator('.mode', { hasText: 'Edit message' }).waitFor();
    await check('editing');
    await input.press('Escape');
    await focus(page.locator('.rows > .message', { hasText: 'a question' }).first());
    await page.keyboard.press('r');
    await page.locator('.mode', { hasText: 'Reply to bob' }).waitFor();
    await check('reply');
    await input.press('Escape');

    const suggestions = page.getByRole('listbox', { name: 'Suggestions' });
    await input.pressSequentially(':wav');
    await suggestions.waitFor();
    await check('completion of an emoji');
    await input.fill('');
    await input.pressSequentially('@b');
    await suggestions.getByRole('option', { name: 'bob' }).waitFor();
    await check('completion of a mention');
    await input.fill('é'.repeat(8_300));
    await page.getByText(/over the limit/).waitFor();
    await check('too long a message');
    await input.fill('');
    await page.getByRole('button', { name: 'Emoji' }).click();
    await emoji.getByRole('option').first().waitFor();
    await check('emoji picker');
    await page.keyboard.type('nothing is called this');
    await emoji.getByText('No emoji has this name.').waitFor();
    await check('emoji picker without a result');
    await page.keyboard.press('Escape');
    await input.evaluate((area) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData('text/plain', 'line\n'.repeat(40));
      area.dispatchEvent(new ClipboardEvent('paste', { clipboardData, cancelable: true, bubbles: true }));
    });
    await page.getByRole('dialog', { name: /^Paste/ }).waitFor();
    await check('long paste');
    await page.keyboard.press('Escape');

    for (const [entry, title] of [
      ['Go to…', 'Go to a room or person'],
      ['Keyboard shortcuts', 'Keyboard shortcuts'],
    ] as const) {
      await page.getByRole('button', { name: 'Room menu' }).click();
      await page.getByRole('button', { name: entry }).click();
      await page.getByRole('dialog', { name: title }).waitFor();
      await check(title);
      await page.keyboard.press('Escape');
    }
    const roomsButton = page.getByRole('button', { name: /^Rooms/ });
    if (options === phone) await roomsButton.click();
    await page.getByLabel('Notify me when I am mentioned').check();
    await page.getByRole('button', { name: 'Rename' }).click();
    await page.getByLabel('Join a room').fill('é'.repeat(100));
    await page.getByRole('button', { name: 'Join', exact: true }).click();
    await page.getByText('Room names can have at most 128 bytes.').waitFor();
    await check('notifications, another name, and a room that cannot be joined');
    if (options === phone) await page.keyboard.press('Escape');
    await leaveRoom(page);
    await page.getByText('You have not joined any rooms').waitFor();
    await check('no room');
  });

  test('has no violations where the log has lost something, or the server rejects something', {
    timeout: 90_000,
  }, async () => {
    const page = await chat.newPage(options);
    await page.addInitScript(`localStorage['pumphouse.chat'] ??= '{"name":"ada"}'`);
    const server = await Rehearsed.open(page);
    const check = (state: string) => expectAccessible(page, state);
    await page.goto(`${chat.server().url}/#/r`);
    await waitForMessage(page, 'message 1');

    server.deliver(
      { t: 'gap', room: 'r', from: 4, to: 9, why: 'trimmed' },
      { t: 'gap', room: 'r', from: 10, to: 20, why: 'slow' },
    );
    server.deliver({ t: 'presence', room: 'r', count: 2, joined: ['bob'] });
    server.deliver({ t: 'signal', room: 'r', from: 'bob', data: { typing: true } });
    await page.getByText('bob is typing').waitFor();
    await page.getByText('Loading 11 messages…').waitFor();
    await check('gaps, someone who has joined, someone who is typing');
    server.rejectHistory();
    await page.getByRole('button', { name: 'Try again' }).waitFor();
    await check('a gap that cannot be loaded');

    await say(page, 'mine');
    await page.getByText('Sending…').waitFor();
    await check('a message that is being sent');
    server.accept(21);
    await waitForMessage(page, 'mine');
    await say(page, 'rejected');
    await server.reject();
    await page.getByText(/^Not sent: /).waitFor();
    await check('a message that was rejected');
    await page.locator('#input').press('Escape');
    await page.getByRole('button', { name: 'Discard' }).click();
    await page.locator('#input').press('ArrowUp');
    await page.locator('.mode').waitFor();
    await page.locator('#input').fill('mine, edited');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saving…').waitFor();
    await check('an edit that is being saved');
    await server.reject();
    await page.getByText(/^Edit not saved: /).waitFor();
    await check('an edit that was rejected');

    server.deliver(joined('f', 20, { recovered: false, lost: { from: 21, to: 21 } }));
    await page.getByText('Not stored').waitFor();
    await check('a message that was lost');
    server.deliver(joined('g', 0, { recovered: false }));
    await page.getByText('The room was reset.').waitFor();
    await check('a room that was reset');

    await server.disconnect(4000);
    await page.locator('.connection p').getByText('The page fell behind').waitFor();
    await check('after an eviction');
    await store(page);
    server.closeCode = 1013;
    await page.reload();
    await page.getByText('Offline: these are the latest').waitFor();
    await check('the messages of the browser');

    server.closeCode = 0;
    server.accepts = false;
    await page.reload();
    await page.getByText('You cannot join this room: no entry.').waitFor();
    await check('a room that rejects the user');
    server.accepts = true;
    await server.disconnect(1001);
    await waitForStatus(page, 'Live');
    await page.getByRole('button', { name: /online$/ }).waitFor();
    server.deliver({ t: 'left', room: 'r', removed: true });
    await page.getByText('You were removed from r').waitFor();
    await check('after a removal');
  });

  test('has no violations at a sign-in, also a rejected one', async () => {
    const page = await chat.newPage(options);
    let asks = 'password';
    await page.route('**/sign-in.json', (route) => route.fulfill({ json: { asks } }));
    await page.route('**/login', (route) => route.fulfill({ status: 401 }));
    await page.routeWebSocket(/\/ws/, (socket) => socket.close({ code: 4501, reason: 'unauthenticated' }));
    await page.goto(chat.server().url);
    await page.getByLabel('Username').fill('ada');
    await page.getByLabel('Password').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByText('Incorrect username or password.').waitFor();
    await expectAccessible(page, 'a wrong password');
    asks = 'token';
    await page.reload();
    await page.getByLabel('Access token').fill('expired');
    await page.keyboard.press('Enter');
    await page.getByText('This token is not valid.').waitFor();
    await expectAccessible(page, 'an invalid token');
  });
});

/** Sends a message: on a phone, Enter inserts a line break. */
async function say(page: Page, text: string): Promise<void> {
  await page.locator('#input').fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

/** Moves the focus to a message, as the arrows do. */
async function focus(row: Locator): Promise<void> {
  await row.evaluate((element) => {
    element.tabIndex = -1;
    element.focus();
  });
}

/** Has the page find a service worker of another version. */
const WITH_NEW_VERSION = `Object.defineProperty(navigator, 'serviceWorker', { value: {
  controller: {}, addEventListener() {}, ready: new Promise(() => {}), getRegistration: async () => undefined,
  register: async () => ({ waiting: { postMessage: (_, [port]) => port.postMessage(false) }, addEventListener() {} }),
} })`;

/** Opens a room with messages that were changed. @returns the text of the page's own message */
async function openChanged(page: Page, room: string, bob: ReturnType<typeof chat.bot>): Promise<string> {
  const mine = 'a line of ada';
  await page.goto(`${chat.server().url}/#/${encodeURIComponent(room)}`);
  await waitForStatus(page, 'Live');
  const question = await bob.send({ text: 'a question for @ada' });
  const edited = await bob.send({ text: 'teh' });
  const deleted = await bob.send({ text: 'regretted' });
  await say(page, mine);
  await waitForMessage(page, mine);
  await bob.send({ text: 'the' }, { op: 'edit', of: edited });
  await bob.send(null, { op: 'delete', of: deleted });
  for (const reaction of ['👍', '🎉']) await bob.send(null, { op: 'react', of: question, reaction });
  await bob.send({ text: 'an answer' }, { reply: question });
  await page.locator('.rows > .message', { hasText: 'a question' }).getByRole('button', { name: /^👍/ }).click();
  await page.getByRole('button', { name: '👍 2: bob and ada' }).waitFor();
  await page.locator('.quote', { hasText: 'a question' }).waitFor();
  return mine;
}

const joined = (epoch: string, seq: number, overrides: object = {}): ServerMessage =>
  ({ t: 'joined', room: 'r', epoch, seq, recovered: true, count: 1, members: ['ada'], ...overrides }) as ServerMessage;

/** A server that says what a test has it say. Its room has three messages. */
class Rehearsed {
  /** The code with which connections are closed at once; 0 if they are not. */
  closeCode = 0;
  /** Whether the room takes members. */
  accepts = true;
  #socket: WebSocketRoute | undefined;
  /** The last requests that have no answer yet. */
  #history: string | undefined;
  #sent: Extract<ClientMessage, { t: 'send' }> | undefined;

  static async open(page: Page): Promise<Rehearsed> {
    const server = new Rehearsed();
    await page.routeWebSocket(/\/ws/, (socket) => server.#onSocket(socket));
    return server;
  }

  deliver(...messages: readonly ServerMessage[]): void {
    for (const message of messages) this.#socket?.send(JSON.stringify(message));
  }

  disconnect(code: number): Promise<void> | undefined {
    return this.#socket?.close({ code });
  }

  /** Rejects the last request for history. */
  rejectHistory(): void {
    this.#reject(this.#history);
  }

  /** Stores the message sent last. */
  accept(seq: number): void {
    const { id, data } = this.#sent ?? {};
    this.deliver(
      { t: 'sent', room: 'r', id: id ?? '', seq },
      { t: 'message', room: 'r', seq, id: id ?? '', from: 'ada', at: Date.now(), data: data ?? null },
    );
  }

  /** Rejects the message or the change sent last. */
  async reject(): Promise<void> {
    await expect.poll(() => this.#sent).toBeDefined();
    this.#reject(this.#sent?.id);
    this.#sent = undefined;
  }

  #reject(id = ''): void {
    this.deliver({ t: 'error', code: 'bad_field', message: 'no entry', retry: false, room: 'r', id });
  }

  #onSocket(socket: WebSocketRoute): void {
    if (this.closeCode > 0) {
      void socket.close({ code: this.closeCode });
      return;
    }
    this.#socket = socket;
    const limits = { message: 16_384, roomName: 128, rooms: 128, history: 1_000 };
    this.deliver({ t: 'welcome', session: 's', user: 'ada', resume: 'secret', limits, heartbeat: 600 });
    socket.onMessage((text) => {
      for (const line of String(text).split('\n')) this.#onMessage(JSON.parse(line));
    });
  }

  #onMessage(message: ClientMessage): void {
    if (message.t === 'send') this.#sent = message;
    else if (message.t === 'join') {
      if (this.accepts) this.deliver(joined('e', 3, { epoch: message.since?.epoch ?? 'e' }));
      else this.deliver({ t: 'error', code: 'forbidden', message: 'no entry', retry: false, room: 'r' });
    } else if (message.t === 'history') {
      this.#history = message.id;
      if (message.before !== 4) return;
      const messages = [1, 2, 3].map((seq) => ({
        seq,
        id: '',
        from: 'bob',
        at: Date.now() - 60_000,
        data: { text: `message ${seq}` },
      }));
      this.deliver({ t: 'history', room: 'r', id: message.id ?? '', messages, from: 1, to: 3, more: false });
    }
  }
}

/** Has the page store its messages, as it does when it is hidden. */
async function store(page: Page): Promise<void> {
  await page.evaluate(`Object.defineProperty(document, 'hidden', { value: true });
    document.dispatchEvent(new Event('visibilitychange'))`);
  // Opening a database that does not exist would create it.
  const stored = `indexedDB.databases().then(({ length }) => length > 0 && new Promise((done) => {
    const request = indexedDB.open('pumphouse.chat');
    request.onsuccess = () => {
      const { result } = request;
      if (!result.objectStoreNames.contains('rooms')) return done(0);
      const count = result.transaction('rooms').objectStore('rooms').count();
      count.onsuccess = () => (result.close(), done(count.result));
    };
  }))`;
  await expect.poll(() => page.evaluate(stored)).toBe(1);
}
