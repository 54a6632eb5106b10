// @ts-check
import { element, make, timeOf, words } from './elements.js';

/** Lines on the page; as many more may wait to be painted. */
const KEEP = 300;
/** More lines at once than anyone can listen to are not read out. */
const FLOOD = 20;

const log = element('log', HTMLElement);
const empty = element('empty', HTMLElement);
const older = element('older', HTMLElement);
const messages = element('messages', HTMLUListElement);
const outbox = element('outbox', HTMLUListElement);
const jump = element('jump', HTMLButtonElement);

/** A message, or a note of the page's own. @typedef {{ text: string, own?: boolean, note?: boolean, at: Date }} Line */

/**
 * What was said, at most `KEEP` lines of it. Who is at the latest line is kept there; who reads back is left in place, and
 * told how many messages are new.
 */
export class Conversation {
  /** Not painted yet: the frame is to come, the tab is hidden, or they would push out what is being read. @type {Line[]} */
  #waiting = [];
  #painting = false;
  #atLatest = true;
  /** What scrolling by whole pixels left undone, so that it does not add up. */
  #drift = 0;
  #unseen = 0;
  #unread = 0;
  #minute = '';

  constructor() {
    log.addEventListener('scroll', () => this.#scrolled());
    jump.addEventListener('click', () => this.toLatest());
    document.addEventListener('visibilitychange', () => {
      this.#unread = 0;
      this.#showCounts();
    });
    new ResizeObserver(() => {
      if (this.#atLatest) log.scrollTop = log.scrollHeight;
    }).observe(log);
  }

  /** @param {Line[]} lines */
  add(lines) {
    this.#waiting = this.#waiting.concat(lines);
    if (this.#waiting.length > KEEP) {
      const gap = { text: 'Messages are missing here: more came than this page keeps.', note: true, at: new Date() };
      this.#waiting = [gap, ...this.#waiting.slice(1 - KEEP)];
    }
    const said = lines.filter((line) => !line.note).length;
    if (!this.#atLatest) this.#unseen += said;
    if (document.hidden) this.#unread += said;
    this.#showCounts();
    this.#schedule();
  }

  /** @param {string} text */
  note(text) {
    this.add([{ text, note: true, at: new Date() }]);
  }

  /** Shows a message that is on its way, after all others. @param {HTMLElement} item */
  addToOutbox(item) {
    outbox.append(item);
    empty.hidden = true;
    this.toLatest();
  }

  toLatest() {
    this.#atLatest = true;
    this.#unseen = 0;
    this.#showCounts();
    this.#paint();
  }

  #scrolled() {
    const atBottom = log.scrollHeight - log.clientHeight - log.scrollTop < 4;
    this.#atLatest = atBottom && (this.#atLatest || this.#waiting.length === 0);
    if (this.#atLatest) this.#unseen = 0;
    this.#showCounts();
    if (this.#waiting.length > 0) this.#schedule();
  }

  #schedule() {
    if (this.#painting) return;
    this.#painting = true;
    requestAnimationFrame(() => {
      this.#painting = false;
      this.#paint();
    });
  }

  #paint() {
    if (this.#atLatest) {
      this.#append(KEEP);
      log.scrollTop = log.scrollHeight;
      return;
    }
    // Only what is above the reader makes room, and what is being read stays where it is.
    const rows = [...messages.children];
    const edge = log.getBoundingClientRect().top;
    const reading = rows.findIndex((row) => row.getBoundingClientRect().bottom > edge);
    const above = reading < 0 ? rows.length : reading;
    const anchor = rows[above] ?? outbox;
    const top = anchor.getBoundingClientRect().top - this.#drift;
    this.#append(KEEP - rows.length + above);
    this.#drift = anchor.getBoundingClientRect().top - top;
    if (Math.abs(this.#drift) < 0.5) return;
    log.scrollTop += this.#drift;
    this.#drift = anchor.getBoundingClientRect().top - top;
  }

  /** Moves at most `room` lines from the waiting ones to the page. @param {number} room */
  #append(room) {
    const lines = this.#waiting.splice(0, room);
    if (lines.length === 0) return;
    log.ariaLive = lines.length > FLOOD ? 'off' : 'polite';
    messages.append(...lines.map((line) => this.#row(line)));
    empty.hidden = true;
    while (messages.childElementCount > KEEP) {
      messages.firstElementChild?.remove();
      older.hidden = false;
    }
  }

  /** @param {Line} line */
  #row({ text, own, note, at }) {
    if (note) return make('li', 'note', text);
    const row = make('li', own ? 'message own' : 'message', '');
    const time = timeOf(at);
    if (time !== this.#minute) row.append(make('time', '', time));
    this.#minute = time;
    if (own) row.append(make('span', 'spoken', 'You: '));
    row.append(words(text));
    return row;
  }

  #showCounts() {
    jump.hidden = this.#unseen === 0;
    jump.textContent = this.#unseen === 1 ? '1 new message' : `${this.#unseen} new messages`;
    document.title = this.#unread ? `(${this.#unread}) Pumphouse` : 'Pumphouse';
  }
}
