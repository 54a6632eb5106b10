import './completion.css';
import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { allEmoji, findEmoji, GROUPS } from '../state/emoji.ts';

const MAX_RESULTS = 120;

interface Props {
  readonly onPick: (emoji: string) => void;
  readonly onClose: () => void;
}

/**
 * A dialog to pick an emoji by name or by group. The focus stays in the search field: the arrows
 * move through the grid, Enter picks.
 */
export function EmojiPicker({ onPick, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const grid = useRef<HTMLDivElement>(null);
  const query = useSignal('');
  const group = useSignal(0);
  const index = useSignal(0);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const wanted = query.value.trim().replaceAll(':', '');
  const found = wanted === '' ? allEmoji.filter((each) => each.group === group.value) : findEmoji(wanted, MAX_RESULTS);
  useEffect(() => grid.current?.children[index.value]?.scrollIntoView({ block: 'nearest' }), [index.value]);

  const pick = (at: number) => {
    const emoji = found[at]?.emoji;
    if (emoji === undefined) return;
    dialog.current?.close();
    onPick(emoji);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    const columns = columnsOf(grid.current);
    // Without a query, the horizontal arrows have no text to move in.
    const horizontal = query.value === '' ? { ArrowLeft: -1, ArrowRight: 1 } : {};
    const steps: Record<string, number> = { ...horizontal, ArrowUp: -columns, ArrowDown: columns };
    const step = steps[event.key];
    if (step !== undefined) index.value = Math.max(0, Math.min(found.length - 1, index.value + step));
    else if (event.key === 'Enter') pick(index.value);
    else return;
    event.preventDefault();
  };
  return (
    // A click beside the dialog is one on its backdrop. Escape closes it by the keyboard.
    // biome-ignore lint/a11y/useKeyWithClickEvents: see above
    <dialog
      ref={dialog}
      class="emoji-picker"
      aria-label="Emoji"
      onClose={onClose}
      onClick={({ target }) => target === dialog.current && dialog.current?.close()}
    >
      <div class="field">
        <input
          role="combobox"
          aria-label="Search emoji"
          aria-autocomplete="list"
          aria-expanded="true"
          aria-controls="emoji-grid"
          aria-activedescendant={found.length > 0 ? `emoji-${index.value}` : undefined}
          placeholder="Search emoji"
          autocomplete="off"
          onInput={({ currentTarget }) => {
            query.value = currentTarget.value;
            index.value = 0;
          }}
          onKeyDown={onKeyDown}
        />
        <button type="button" class="quiet" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
      <div class="emoji-groups">
        {GROUPS.map((each) => (
          <button
            key={each.group}
            type="button"
            class="quiet"
            aria-label={each.label}
            title={each.label}
            aria-pressed={wanted === '' && each.group === group.value}
            onClick={() => {
              query.value = '';
              group.value = each.group;
              index.value = 0;
              const search = dialog.current?.querySelector('input');
              if (search) search.value = '';
              grid.current?.scrollTo(0, 0);
            }}
          >
            {each.emoji}
          </button>
        ))}
      </div>
      <div id="emoji-grid" ref={grid} class="emoji-grid" role="listbox" aria-label="Emoji">
        {found.map(({ emoji, name, shortNames }, at) => (
          // The keys are those of the search field, which keeps the focus.
          // biome-ignore lint/a11y/useKeyWithClickEvents: see above
          // biome-ignore lint/a11y/useFocusableInteractive: see above
          <div
            key={emoji}
            id={`emoji-${at}`}
            role="option"
            aria-label={name}
            aria-selected={at === index.value}
            title={`:${shortNames[0]}:`}
            onClick={() => pick(at)}
          >
            {emoji}
          </div>
        ))}
      </div>
      <p class="muted" role="status">
        {found.length === 0 ? 'No emoji has this name.' : `:${found[index.value]?.shortNames[0]}:`}
      </p>
    </dialog>
  );
}

/** Returns how many emoji are in a row. */
function columnsOf(grid: HTMLElement | null): number {
  return grid ? getComputedStyle(grid).gridTemplateColumns.split(' ').length : 1;
}
