import { useSignal } from '@preact/signals';
import { partsOf } from '../state/links.ts';

// What is longer is folded until someone wants to read it.
const LONG = 1_200;
const LINES = 16;

/** What was said, in its own direction: links lead somewhere, and nothing else in it means anything. */
export function Text({ text }: { text: string }) {
  const open = useSignal(false);
  const short = shortened(text);
  const shown = open.value || short === undefined ? text : short;
  return (
    <>
      <p class="text" dir="auto">
        {partsOf(shown).map(({ text: words, href }) =>
          href === undefined ? (
            words
          ) : (
            <a href={href} target="_blank" rel="noopener noreferrer nofollow">
              {words}
            </a>
          ),
        )}
        {short !== undefined && !open.value && '…'}
      </p>
      {short !== undefined && (
        <button
          type="button"
          class="fold"
          aria-expanded={open.value}
          onClick={() => {
            open.value = !open.value;
          }}
        >
          {open.value ? 'Show less' : 'Show all'}
        </button>
      )}
    </>
  );
}

/** @returns the beginning of a long text; undefined where it is not long. */
function shortened(text: string): string | undefined {
  const lines = text.split('\n', LINES + 1);
  const cut = lines.length > LINES ? lines.slice(0, LINES).join('\n') : text;
  if (cut.length <= LONG) return cut === text ? undefined : cut;
  const end = cut.slice(0, LONG);
  // A character of two halves is not cut in two.
  return /[\ud800-\udbff]$/.test(end) ? end.slice(0, -1) : end;
}
