import { ConfirmDialog } from './confirm-dialog.tsx';
import { count } from './format.ts';

// A longer paste must be confirmed.
const MAX_LINES = 12;

export function isLongPaste(text: string): boolean {
  return lineCount(text) > MAX_LINES;
}

interface Props {
  readonly text: string;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}

/** Asks for confirmation before pasting a long text. */
export function PasteDialog({ text, onConfirm, onClose }: Props) {
  return (
    <ConfirmDialog
      title={`Paste ${count(lineCount(text), 'line')}?`}
      action="Paste"
      onConfirm={onConfirm}
      onClose={onClose}
    >
      All lines will be part of one message.
    </ConfirmDialog>
  );
}

function lineCount(text: string): number {
  return text.split('\n').length;
}
