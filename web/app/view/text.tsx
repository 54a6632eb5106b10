import { useSignal } from '@preact/signals';
import { InlineText } from './inline-text.tsx';
import { rendererFor } from './rich-text.ts';

// A longer text is collapsed.
const MAX_LENGTH = 1_200;
const MAX_LINES = 16;

/** The text of a message, with its Markdown and links. A long one is collapsed. */
export function Text({ text, rich }: { text: string; rich: boolean }) {
  const expanded = useSignal(false);
  const excerpt = excerptOf(text);
  const visible = expanded.value ? text : excerpt;
  const Markdown = rendererFor(text, rich);
  return (
    <>
      {Markdown ? (
        <Markdown text={visible} cut={visible !== text} />
      ) : (
        <p class="text" dir="auto">
          <InlineText text={visible} />
          {visible !== text && '…'}
        </p>
      )}
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
