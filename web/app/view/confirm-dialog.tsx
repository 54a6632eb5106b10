import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

interface Props {
  readonly title: string;
  /** The label of the button that confirms. */
  readonly action: string;
  readonly onConfirm: () => void;
  /** Called when the dialog closes, confirmed or cancelled. */
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

/** A modal dialog that asks for confirmation. */
export function ConfirmDialog({ title, action, onConfirm, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={onClose}>
      <h2 id="dialog-title">{title}</h2>
      <p>{children}</p>
      <div class="buttons">
        <button type="button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
        <button
          type="button"
          class="primary"
          onClick={() => {
            onConfirm();
            dialog.current?.close();
          }}
        >
          {action}
        </button>
      </div>
    </dialog>
  );
}
