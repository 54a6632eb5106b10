import type { Person } from '../state/people.ts';
import { visibleName } from './format.ts';

/** The name of a person, with a number if there are others of that name, and whether it is you. */
export function PersonName({ person: { name, number, own } }: { person: Person }) {
  return (
    <>
      <bdi class="author">{visibleName(name)}</bdi>
      {number > 1 && <span class="number"> ({number})</span>}
      {own && <span class="you">you</span>}
    </>
  );
}

const HUES = 8;

/** The first letter of a name on a color derived from the name and the number. */
export function Avatar({ name, number = 1 }: { readonly name: string; readonly number?: number }) {
  const visible = visibleName(name);
  let hash = number - 1;
  for (const letter of visible) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return (
    <span class={`avatar hue-${hash % HUES}`} aria-hidden="true">
      {[...visible][0]?.toLocaleUpperCase()}
    </span>
  );
}
