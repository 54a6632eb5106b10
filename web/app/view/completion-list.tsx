import './completion.css';
import { useEffect, useRef } from 'preact/hooks';
import { type Choice, matchingNames, personChoice, type Trigger } from '../state/completion.ts';
import type { Conversation } from '../state/conversation.ts';
import { count, visibleName } from './format.ts';

const MAX_CHOICES = 8;

const loadEmoji = () => import('../state/emoji.ts');

/** Returns what a word can be completed to, the best first. */
export async function choicesFor({ kind, query }: Trigger, room: Conversation): Promise<Choice[]> {
  if (kind === 'person') {
    const others = room.knownNames().filter((name) => name !== room.user);
    return matchingNames(others, query, MAX_CHOICES).map(personChoice);
  }
  const { findEmoji } = await loadEmoji();
  return findEmoji(query, MAX_CHOICES).map(({ emoji, shortNames }) => {
    const shortName = shortNames.find((name) => name.includes(query.toLowerCase())) ?? shortNames[0];
    return { insert: `${emoji} `, symbol: emoji, label: `:${shortName}:` };
  });
}

/** Returns the emoji of a short name. */
export async function emojiOf(shortName: string): Promise<string | undefined> {
  return (await loadEmoji()).emojiNamed(shortName);
}

interface Props {
  readonly id: string;
  readonly choices: readonly Choice[];
  readonly index: number;
  readonly onChoose: (index: number) => void;
}

/** The list above the composer. The focus stays in the text. */
export function CompletionList({ id, choices, index, onChoose }: Props) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => list.current?.children[index]?.scrollIntoView({ block: 'nearest' }), [index]);
  return (
    <div class="completion">
      <div
        id={id}
        ref={list}
        class="choices"
        role="listbox"
        aria-label="Suggestions"
        tabIndex={0} // scrolls on a small screen
        onPointerDown={(event) => event.preventDefault()}
      >
        {choices.map(({ symbol, label, insert }, at) => (
          // The keys are those of the text field, which keeps the focus.
          // biome-ignore lint/a11y/useKeyWithClickEvents: see above
          // biome-ignore lint/a11y/useFocusableInteractive: see above
          <div key={insert} id={`${id}-${at}`} role="option" aria-selected={at === index} onClick={() => onChoose(at)}>
            <span class="symbol" aria-hidden="true">
              {symbol}
            </span>
            <bdi>{visibleName(label)}</bdi>
          </div>
        ))}
      </div>
      <p class="visually-hidden" role="status">
        {count(choices.length, 'suggestion')}. Arrows choose, Enter inserts.
      </p>
    </div>
  );
}
