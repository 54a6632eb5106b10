import { useSignal } from '@preact/signals';
import { partsOf } from '../state/links.ts';

// A longer text is collapsed.
const MAX_LENGTH = 1_200;
const MAX_LINES = 16;

/** The text of a message, with links. Nothing else in it is interpreted. */
export function Text({ text }: { text: string }) {
  const expanded = useSignal(false);
  const excerpt = excerptOf(text);
  const visible = expanded.value ? text : excerpt;
  return (
    <>
      <p class="text" dir="auto">
        {partsOf(visible).map(({ text: part, href }) =>
          href === undefined ? (
            part
          ) : (
            <a href={href} target="_blank" rel="noopener noreferrer nofollow">
              {part}
            </a>
          ),
        )}
        {visible !== text && '…'}
      </p>
      {excerpt !== text && (
        <button
          type="button"
          class="fold"
          aria-expanded={expanded.value}
          onClick={() => {
            expanded.value = !expanded.value;
          }}
        >
          {expanded.value ? 'Show less' : 'Show more'}
        </button>
      )}
    </>
  );
}

/** Returns the beginning of a long text, or the whole of a short one. */
function excerptOf(text: string): string {
  const lines = text.split('\n', MAX_LINES + 1);
  const head = lines.length > MAX_LINES ? lines.slice(0, MAX_LINES).join('\n') : text;
  if (head.length <= MAX_LENGTH) return head;
  const cut = head.slice(0, MAX_LENGTH);
  // Does not split a surrogate pair.
  return /[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut;
}
