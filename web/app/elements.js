// @ts-check

/**
 * The element of the page with this id; the page and its script belong together, so a missing one is a bug.
 *
 * @template {HTMLElement} T @param {string} id @param {new () => T} type
 */
export function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`no #${id}`);
  return found;
}

/** @template {keyof HTMLElementTagNameMap} K @param {K} tag @param {string} name @param {string} text */
export function make(tag, name, text) {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}

/** What someone said: in its own direction, whatever is around it. @param {string} text */
export function words(text) {
  const made = make('p', 'text', text);
  made.dir = 'auto';
  return made;
}

/** Sets a status, and leaves one that stands: what is set is read out. @param {HTMLElement} where @param {string} text */
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

/** @param {Date} at */
export function timeOf(at) {
  return clock.format(at);
}
