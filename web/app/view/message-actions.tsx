import './message-actions.css';
import { type ComponentType, render } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { hashOf } from '../state/chat.ts';
import { outgoingChangesOf, startEdit, startReply } from '../state/outgoing-changes.ts';
import { personLabel } from '../state/people.ts';
import { CopyIcon, DeleteIcon, EditIcon, LinkIcon, ReplyIcon } from './action-icons.tsx';
import { ConfirmDialog } from './confirm-dialog.tsx';
import { copyText } from './copy.ts';
import { visibleName } from './format.ts';
import { EmojiIcon } from './icons.tsx';
import type { MessageContext } from './message-context.ts';
import { mount } from './mount.tsx';
import { openReactions, ReactionRow } from './reaction-picker.tsx';

/** An action on a message. Other modules may add theirs to `messageActions`. */
export interface MessageAction {
  readonly id: string;
  readonly label: string;
  readonly icon: ComponentType;
  /** The key that runs the action while the message has the focus. */
  readonly shortcut: string;
  run(context: MessageContext): void | Promise<void>;
  isAvailable(context: MessageContext): boolean;
}

/** Whether a message can be changed: the log has it, with its text. */
const isStored = ({ message }: MessageContext) => !message.lost && !message.deleted;
const isOwn = (context: MessageContext) => isStored(context) && context.author.own;

/** The actions of a message, in the order in which they are shown. */
export const messageActions: MessageAction[] = [
  {
    id: 'copy-text',
    label: 'Copy text',
    icon: CopyIcon,
    shortcut: 'c',
    run: async ({ chat, message }) => chat.showNotice((await copyText(message.text)) ? 'Text copied' : 'Copy failed'),
    isAvailable: ({ message }) => !message.deleted,
  },
  {
    id: 'copy-link',
    label: 'Copy link',
    icon: LinkIcon,
    shortcut: 'l',
    run: async ({ chat, room, message }) => {
      const { origin, pathname, search } = location;
      const copied = await copyText(`${origin}${pathname}${search}${hashOf(room.name, message.seq)}`);
      chat.showNotice(copied ? 'Link copied' : 'Copy failed');
    },
    isAvailable: ({ message }) => !message.lost,
  },
  {
    id: 'react',
    label: 'React',
    icon: EmojiIcon,
    shortcut: 'm',
    run: openReactions,
    isAvailable: isStored,
  },
  {
    id: 'reply',
    label: 'Reply',
    icon: ReplyIcon,
    shortcut: 'r',
    run: ({ room, message }) => startReply(room, message),
    isAvailable: isStored,
  },
  {
    id: 'edit',
    label: 'Edit',
    icon: EditIcon,
    shortcut: 'e',
    run: ({ room, message }) => startEdit(room, message),
    isAvailable: isOwn,
  },
  {
    id: 'delete',
    label: 'Delete',
    icon: DeleteIcon,
    shortcut: 'd',
    run: (context) => confirmDelete(context),
    isAvailable: isOwn,
  },
];

/** Deletes a message once the user has confirmed it. */
export function confirmDelete({ room, message }: Pick<MessageContext, 'room' | 'message'>): void {
  const focused = document.activeElement as HTMLElement;
  const confirm = () => outgoingChangesOf(room).send({ op: 'delete', of: message.seq });
  mount(
    (close) => (
      <ConfirmDialog title="Delete this message?" action="Delete" onConfirm={confirm} onClose={close}>
        <span class="delete-excerpt">{message.text}</span>
        Everybody sees that it was deleted. It cannot be undone.
      </ConfirmDialog>
    ),
    focused.closest<HTMLElement>('.message') ?? focused,
  );
}

function actionsOf(context: MessageContext): MessageAction[] {
  return messageActions.filter((action) => action.isAvailable(context));
}

function labelOf({ author }: MessageContext): string {
  return `Actions for the message of ${personLabel({ ...author, name: visibleName(author.name) })}`;
}

/** Runs the action of a key. */
export function runShortcut(key: string, context: MessageContext): void {
  void actionsOf(context)
    .find(({ shortcut }) => shortcut === key)
    ?.run(context);
}

// One toolbar moves from row to row: rows are rendered often, and there are hundreds.
const toolbar = document.createElement('div');
toolbar.className = 'message-toolbar';

/** Shows the toolbar at a row. */
export function showToolbar(row: HTMLElement, context: MessageContext): void {
  if (toolbar.parentElement === row || toolbar.querySelector(':focus-visible')) return;
  render(<Toolbar context={context} />, toolbar);
  row.append(toolbar);
}

export function hideToolbar(): void {
  toolbar.remove();
}

function Toolbar({ context }: { context: MessageContext }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for a form
    <div role="group" aria-label={labelOf(context)}>
      {actionsOf(context).map((action) => (
        <button
          key={action.id}
          type="button"
          class="quiet"
          title={`${action.label} (${action.shortcut})`}
          aria-label={action.label}
          onClick={() => action.run(context)}
        >
          <action.icon />
        </button>
      ))}
    </div>
  );
}

/** Opens the actions in a dialog. @param opener the element that gets the focus back */
export function openDialog(context: MessageContext, opener: HTMLElement): void {
  // The finger of a long press, when it leaves, clicks nothing of the dialog.
  const cancel = (event: Event) => event.preventDefault();
  opener.addEventListener('touchend', cancel, { once: true });
  mount((close) => {
    const onClose = () => {
      opener.removeEventListener('touchend', cancel);
      close();
    };
    return <ActionsDialog context={context} onClose={onClose} />;
  }, opener);
}

function ActionsDialog({ context, onClose }: { context: MessageContext; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const close = () => dialog.current?.close();
  // The dialog has the reactions itself.
  const actions = actionsOf(context).filter(({ run }) => run !== openReactions);
  return (
    // A click beside the dialog is one on its backdrop. Escape closes it by the keyboard.
    // biome-ignore lint/a11y/useKeyWithClickEvents: see above
    <dialog
      ref={dialog}
      class="actions-dialog"
      aria-label={labelOf(context)}
      onClose={onClose}
      onClick={({ target }) => target === dialog.current && close()}
    >
      {isStored(context) && <ReactionRow context={context} onDone={close} />}
      <div class="actions">
        {actions.map((action) => (
          <button
            key={action.id}
            type="button"
            class={action.id === 'delete' ? 'quiet danger' : 'quiet'}
            aria-keyshortcuts={action.shortcut}
            onClick={async () => {
              await action.run(context);
              close();
            }}
          >
            <action.icon />
            {action.label}
          </button>
        ))}
        <button type="button" class="quiet" onClick={close}>
          Cancel
        </button>
      </div>
    </dialog>
  );
}
