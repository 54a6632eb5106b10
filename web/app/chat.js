// @ts-check
import { Connection } from './connection.js';
import { Conversation } from './conversation.js';
import { element, make, say, timeOf, words } from './elements.js';

/** What the server takes, in bytes of UTF-8. */
const MAX_BYTES = 512;
const WARN_FROM = 412;

const status = element('status', HTMLElement);
const countdown = element('countdown', HTMLElement);
const connect = element('connect', HTMLButtonElement);
const composer = element('composer', HTMLFormElement);
const input = element('input', HTMLTextAreaElement);
const hint = element('hint', HTMLElement);
const counter = element('counter', HTMLElement);

const conversation = new Conversation();
const url = new URL('ws', location.href);
url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
const connection = new Connection(url, { state: showState, frame: hear });

/** What was sent on this connection and has not come back. @type {{ text: string, item: HTMLElement }[]} */
let awaiting = [];

// ── Hearing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @param {string} frame one message or several, a line each */
function hear(frame) {
  const at = new Date();
  conversation.add(frame.split('\n').map((text) => ({ text, own: confirm(text), at })));
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

// ── The connection ──────────────────────────────────────────────────────────────────────────────────────────────────

const states = { live: 'Live', offline: 'Offline', waiting: 'Reconnecting' };
let wasLive = false;
let everLive = false;
let retrying = false;
let ticking = 0;

/** @param {import('./connection.js').State} state */
function showState(state) {
  document.body.dataset.state = state.name;
  const now = timeOf(new Date());
  if (state.name === 'live') {
    if (everLive) conversation.note(`Connected again at ${now}. Messages from in between may be missing.`);
    everLive = true;
    review();
  } else if (wasLive && 'why' in state) {
    conversation.note(`Connection lost at ${now}${state.why && ': '}${state.why}.${giveUpAwaiting()}`);
  }
  wasLive = state.name === 'live';
  if (state.name !== 'connecting') retrying = state.name === 'waiting' || state.name === 'offline';

  // The words stay the same from try to try, so that a screen reader is not told each of them.
  if (state.name === 'closed') say(status, `Closed: ${state.why}`);
  else if (state.name !== 'connecting') say(status, states[state.name]);
  else if (!retrying) say(status, 'Connecting');
  connect.hidden = state.name === 'live' || (state.name === 'connecting' && !retrying);
  connect.textContent = state.name === 'closed' ? 'Connect again' : 'Connect now';

  clearInterval(ticking);
  const tick = () => {
    const left = state.name === 'waiting' ? Math.ceil((state.until - performance.now()) / 1000) : 0;
    countdown.textContent = left > 0 ? ` in ${left} s` : state.name === 'connecting' ? '…' : '';
  };
  tick();
  if (state.name === 'waiting') ticking = setInterval(tick, 250);
}

// ── Sending ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What the server would make of it, and its size. @param {string} typed */
function normal(typed) {
  const bytes = new TextEncoder().encode(typed.replaceAll('\n', ' ').replace(/^[\s\u0085]+|[\s\u0085]+$/g, ''));
  return { text: new TextDecoder().decode(bytes), size: bytes.length };
}

/** @param {string} typed @returns whether it went out; if not, the hint says why */
function send(typed) {
  const { text, size } = normal(typed);
  const over = size - MAX_BYTES;
  if (size === 0) return false;
  if (over > 0) {
    say(hint, `Not sent: ${over} ${over === 1 ? 'byte' : 'bytes'} too long. A message may have ${MAX_BYTES}.`);
    return false;
  }
  if (!connection.live) {
    say(hint, 'Not sent: there is no connection. Your text stays here.');
    return false;
  }
  connection.send(text);
  const item = make('li', 'message own', '');
  item.append(words(text), make('span', 'fate', 'sending…'));
  awaiting.push({ text, item });
  conversation.addToOutbox(item);
  return true;
}

/** @returns what to say of the messages that were on their way when the connection went */
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
    const choices = make('div', 'choices', 'Not confirmed: it may have arrived or not.');
    choices.append(again, discard);
    item.classList.add('unconfirmed');
    item.lastElementChild?.replaceWith(choices);
  }
  awaiting = [];
  if (count === 0) return '';
  return count === 1 ? ' A message of yours is not confirmed.' : ` ${count} messages of yours are not confirmed.`;
}

/** Says what will become of the text as it stands. */
function review() {
  const { text, size } = normal(input.value);
  const left = MAX_BYTES - size;
  input.ariaInvalid = left < 0 ? 'true' : 'false';
  counter.textContent = size < WARN_FROM ? '' : left < 0 ? `${-left} bytes over` : `${left} bytes left`;
  if (left < 0) say(hint, `Too long to send: a message may have ${MAX_BYTES} bytes.`);
  else say(hint, text && input.value.trim().includes('\n') ? 'Line breaks are sent as spaces.' : '');
}

composer.addEventListener('submit', (event) => {
  event.preventDefault();
  if (send(input.value)) {
    input.value = '';
    review();
  }
});
input.addEventListener('input', review);
input.addEventListener('keydown', (event) => {
  // An Enter that ends a composition is not for us; Safari sends it after the composition's end, as key 229.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  composer.requestSubmit();
});
connect.addEventListener('click', () => connection.connect());
for (const button of document.querySelectorAll('button')) button.addEventListener('click', () => input.focus());

connection.connect();
input.focus();
