import { Ask } from './ask.tsx';
import { count } from './words.ts';

// A paste of more lines than these is asked about first.
const MANY_LINES = 12;

export function isLongPaste(text: string): boolean {
  return linesOf(text) > MANY_LINES;
}

interface Props {
  readonly text: string;
  readonly onYes: () => void;
  readonly onNo: () => void;
}

/** Asks whether a long text is really meant to be pasted. */
export function PasteQuestion({ text, onYes, onNo }: Props) {
  return (
    <Ask title={`Paste ${count(linesOf(text), 'line')}?`} yes="Paste" onYes={onYes} onNo={onNo}>
      They become one message.
    </Ask>
  );
}

function linesOf(text: string): number {
  return text.split('\n').length;
}
