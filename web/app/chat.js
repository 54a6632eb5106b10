// @ts-check
import { Connection } from './connection.js';

/** What the server takes, in bytes of UTF-8. */
const MAX_BYTES = 512;
const WARN_FROM = 412;
/** Lines on the page; as many more may wait for a frame to be painted in. */
const KEEP = 300;
/** More lines at once than anyone can listen to are not read out. */
const FLOOD = 20;

/** @typedef {{ text: string, own?: boolean, note?: boolean, at: Date }} Line */

/** @template {HTMLElement} T @param {string} id @param {new () => T} type */
function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`no #${id}`);
  return found;
}
const status = element('status', HTMLElement);
const countdown = element('countdown', HTMLElement);
const connect = element('connect', HTMLButtonElement);
const log = element('log', HTMLElement);
const empty = element('empty', HTMLElement);
const older = element('older', HTMLElement);
const messages = element('messages', HTMLUListElement);
const outbox = element('outbox', HTMLUListElement);
const jump = element('jump', HTMLButtonElement);
const composer = element('composer', HTMLFormElement);
const input = element('input', HTMLTextAreaElement);
const hint = element('hint', HTMLElement);
const counter = element('counter', HTMLElement);

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

/** @template {keyof HTMLElementTagNameMap} K @param {K} tag @param {string} name @param {string} text */
function make(tag, name, text) {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}

/** @param {string} text */
function body(text) {
  const made = make('p', 'text', text);
  made.dir = 'auto';
  return made;
}

// ── The conversation ────────────────────────────────────────────────────────────────────────────────────────────────

/** Lines that are not painted yet: the frame is to come, the tab is hidden, or they would push out what is being read. @type {Line[]} */
let arrived = [];
let painting = false;
/** Whether the reader is at the latest line, and so is to be kept there. */
let stuck = true;
let unseen = 0;
let unread = 0;
let minute = '';

/** @param {Line[]} lines */
function arrive(lines) {
  const said = lines.filter((line) => !line.note).length;
  arrived.push(...lines);
  if (arrived.length > KEEP) {
    const skip = { text: 'Messages are missing here: more came than this page keeps.', note: true, at: new Date() };
    arrived = [skip, ...arrived.slice(1 - KEEP)];
  }
  if (!stuck) unseen += said;
  if (document.hidden) unread += said;
  showCounts();
  schedule();
}

function schedule() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(paint);
}

function paint() {
  painting = false;
  if (stuck) {
    append(KEEP);
    log.scrollTop = log.scrollHeight;
    return;
  }
  // Only what is above the reader makes room, and what is being read stays where it is.
  const rows = [...messages.children];
  const reading = rows.findIndex((row) => row.getBoundingClientRect().bottom > log.getBoundingClientRect().top);
  const above = reading < 0 ? rows.length : reading;
  const anchor = rows[above] ?? outbox;
  const top = anchor.getBoundingClientRect().top;
  append(KEEP - rows.length + above);
  log.scrollTop += anchor.getBoundingClientRect().top - top;
}

/** Moves at most `room` lines from the waiting ones to the page. @param {number} room */
function append(room) {
  const lines = arrived.splice(0, room);
  if (lines.length === 0) return;
  log.ariaLive = lines.length > FLOOD ? 'off' : 'polite';
  messages.append(...lines.map(row));
  empty.hidden = true;
  while (messages.childElementCount > KEEP) {
    messages.firstElementChild?.remove();
    older.hidden = false;
  }
}

/** @param {Line} line */
function row({ text, own, note, at }) {
  if (note) return make('li', 'note', text);
  const made = make('li', own ? 'message own' : 'message', '');
  const time = clock.format(at);
  if (time !== minute) made.append(make('time', '', time));
  minute = time;
  if (own) made.append(make('span', 'spoken', 'You: '));
  made.append(body(text));
  return made;
}

function showCounts() {
  jump.hidden = unseen === 0;
  jump.textContent = unseen === 1 ? '1 new message' : `${unseen} new messages`;
  document.title = unread ? `(${unread}) Pumphouse` : 'Pumphouse';
}

function toLatest() {
  stuck = true;
  unseen = 0;
  showCounts();
  paint();
}

log.addEventListener('scroll', () => {
  const atBottom = log.scrollHeight - log.clientHeight - log.scrollTop < 4;
  stuck = atBottom && (stuck || arrived.length === 0);
  if (stuck) unseen = 0;
  showCounts();
  if (arrived.length) schedule();
});
jump.addEventListener('click', () => {
  toLatest();
  input.focus();
});
new ResizeObserver(() => {
  if (stuck) log.scrollTop = log.scrollHeight;
}).observe(log);
document.addEventListener('visibilitychange', () => {
  unread = 0;
  showCounts();
});

// ── The connection ──────────────────────────────────────────────────────────────────────────────────────────────────

let wasLive = false;
let everLive = false;
let ticking = 0;

const url = new URL('ws', location.href);
url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
const connection = new Connection(url, { state: showState, frame });

/** @param {string} text */
function frame(text) {
  const at = new Date();
  arrive(text.split('\n').map((message) => ({ text: message, own: confirm(message), at })));
}

/** @param {import('./connection.js').State} state */
function showState(state) {
  document.body.dataset.state = state.name;
  const at = new Date();
  if (state.name === 'live') {
    if (everLive) {
      const text = `Connected again at ${clock.format(at)}. Messages from in between may be missing.`;
      arrive([{ text, note: true, at }]);
    }
    everLive = true;
    review();
  } else if (wasLive && 'why' in state) {
    const lost = `Connection lost at ${clock.format(at)}: ${state.why}.`;
    arrive([{ text: lost + giveUpAwaiting(), note: true, at }]);
  }
  wasLive = state.name === 'live';

  // The words stay the same from try to try, so that a screen reader is not told each of them.
  if (state.name === 'live') status.textContent = 'Live';
  else if (state.name === 'offline') status.textContent = 'Offline';
  else if (state.name === 'closed') status.textContent = `Closed: ${state.why}`;
  else status.textContent = state.name === 'waiting' || everLive ? 'Reconnecting' : 'Connecting';
  connect.hidden = !('why' in state);
  connect.textContent = state.name === 'closed' ? 'Connect again' : 'Connect now';

  clearInterval(ticking);
  countdown.textContent = state.name === 'connecting' ? '…' : '';
  if (state.name === 'waiting') {
    const tick = () => {
      countdown.textContent = ` in ${Math.max(1, Math.ceil((state.until - performance.now()) / 1000))} s`;
    };
    ticking = setInterval(tick, 250);
    tick();
  }
}

connect.addEventListener('click', () => {
  connection.connect();
  input.focus();
});

// ── Sending ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What was sent on this connection and has not come back. @type {{ text: string, item: HTMLElement }[]} */
let awaiting = [];

/** @param {string} text */
function say(text) {
  if (hint.textContent !== text) hint.textContent = text;
}

/** What the server would make of it, and its size. @param {string} typed */
function normal(typed) {
  const bytes = new TextEncoder().encode(typed.replaceAll('\n', ' ').replace(/^[\s\u0085]+|[\s\u0085]+$/g, ''));
  return { text: new TextDecoder().decode(bytes), size: bytes.length };
}

/** @param {string} typed @returns whether it went out */
function send(typed) {
  const { text, size } = normal(typed);
  if (size === 0) return false;
  const over = size - MAX_BYTES;
  if (over > 0) say(`Not sent: ${over} ${over === 1 ? 'byte' : 'bytes'} too long. A message may have ${MAX_BYTES}.`);
  else if (!connection.live) say('Not sent: there is no connection. Your text stays here.');
  else {
    connection.send(text);
    const item = make('li', 'message own', '');
    item.append(body(text), make('span', 'fate', 'sending…'));
    outbox.append(item);
    awaiting.push({ text, item });
    empty.hidden = true;
    toLatest();
    return true;
  }
  return false;
}

/**
 * Whether a message that came is one that this page waits for. The wire names no authors: someone else's equal message
 * may be taken for ours, and ours for theirs, which shows the same words the same number of times.
 *
 * @param {string} text
 */
function confirm(text) {
  const at = awaiting.findIndex((sent) => sent.text === text);
  if (at < 0) return false;
  awaiting.splice(at, 1)[0]?.item.remove();
  return true;
}

/** @returns what to say of the messages that were on their way when the connection went. */
function giveUpAwaiting() {
  const count = awaiting.length;
  for (const { text, item } of awaiting) {
    const again = make('button', '', 'Send again');
    const discard = make('button', '', 'Discard');
    again.addEventListener('click', () => {
      if (send(text)) item.remove();
      input.focus();
    });
    discard.addEventListener('click', () => {
      item.remove();
      input.focus();
    });
    item.classList.add('unconfirmed');
    item.lastElementChild?.replaceWith(
      make('span', 'fate', 'Not confirmed: it may have arrived or not.'),
      again,
      discard,
    );
  }
  awaiting = [];
  if (count === 0) return '';
  return count === 1 ? ' A message of yours is not confirmed.' : ` ${count} messages of yours are not confirmed.`;
}

composer.addEventListener('submit', (event) => {
  event.preventDefault();
  if (send(input.value)) {
    input.value = '';
    review();
  }
  input.focus();
});
input.addEventListener('keydown', (event) => {
  // An Enter that ends a composition is not for us; Safari sends it after the composition's end, as key 229.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  composer.requestSubmit();
});
input.addEventListener('input', review);

/** Says what will become of the text as it stands. */
function review() {
  const { text, size } = normal(input.value);
  const left = MAX_BYTES - size;
  input.ariaInvalid = left < 0 ? 'true' : 'false';
  counter.textContent = size < WARN_FROM ? '' : left < 0 ? `${-left} bytes over` : `${left} bytes left`;
  if (left < 0) say(`Too long to send: a message may have ${MAX_BYTES} bytes.`);
  else say(/\n/.test(input.value.trim()) && text ? 'Line breaks are sent as spaces.' : '');
}

connection.connect();
input.focus();
