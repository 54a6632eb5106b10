import { useSignal } from '@preact/signals';
import type { RefObject, TextareaHTMLAttributes } from 'preact';
import { type Choice, shortNameAt, type Trigger, triggerAt } from '../state/completion.ts';
import type { Conversation } from '../state/conversation.ts';

interface Open {
  readonly trigger: Trigger;
  readonly choices: readonly Choice[];
  readonly index: number;
  readonly List: typeof import('./completion-list.tsx').CompletionList;
}

/** The id of the list. The option at an index has `completion-INDEX`. */
const LIST_ID = 'completion';

/**
 * Completes `:name` to an emoji and `@name` to a person while the user types. The arrows choose,
 * Enter and Tab insert, Escape closes. While nothing is offered, no key is taken. The list and the
 * emoji are loaded when they are first needed.
 *
 * @param insert inserts a text in place of the one from a position to the caret.
 */
export function useCompletion(
  input: RefObject<HTMLTextAreaElement | null>,
  room: Conversation,
  insert: (text: string, from?: number) => void,
) {
  const open = useSignal<Open | undefined>(undefined);
  const close = () => {
    open.value = undefined;
  };

  const update = async () => {
    const area = input.current;
    if (!area || area.selectionStart !== area.selectionEnd) return close();
    const [text, caret] = [area.value, area.selectionStart];
    const finished = shortNameAt(text, caret);
    const trigger = triggerAt(text, caret);
    if (!trigger && finished === undefined) return close();
    const { CompletionList: List, choicesFor, emojiOf } = await import('./completion-list.tsx');
    const choices = trigger ? await choicesFor(trigger, room) : [];
    const emoji = finished && (await emojiOf(finished));
    // The user may have typed on while the list was loading.
    if (area !== document.activeElement || area.value !== text || area.selectionStart !== caret) return;
    if (emoji) {
      close();
      insert(emoji, caret - (finished?.length ?? 0) - 2);
    } else open.value = trigger && choices.length > 0 ? { trigger, choices, index: 0, List } : undefined;
  };

  const choose = ({ trigger, choices }: Open, index: number) => {
    const choice = choices[index];
    close();
    if (choice) insert(choice.insert, trigger.from);
  };

  const onKeyDown = (event: KeyboardEvent): boolean => {
    const current = open.value;
    if (!current || event.isComposing || event.keyCode === 229 || event.ctrlKey || event.metaKey || event.altKey) {
      return false;
    }
    const { choices, index } = current;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) open.value = { ...current, index: (index + step + choices.length) % choices.length };
    else if ((event.key === 'Enter' || event.key === 'Tab') && !event.shiftKey) choose(current, index);
    else if (event.key === 'Escape') close();
    else return false;
    event.preventDefault();
    event.stopPropagation(); // Escape closes one thing at a time
    return true;
  };

  const current = open.value;
  const props: TextareaHTMLAttributes<HTMLTextAreaElement> = {
    'aria-autocomplete': 'list',
    'aria-haspopup': 'listbox',
    ...(current && { 'aria-controls': LIST_ID, 'aria-activedescendant': `${LIST_ID}-${current.index}` }),
    onBlur: close,
    onClick: () => void update().catch(close),
    onCompositionEnd: () => void update().catch(close),
  };
  return {
    props,
    close,
    onKeyDown,
    /** Handles a change of the text. An input method is left alone until it has finished. */
    onInput: (composing: boolean) => {
      if (composing) close();
      else void update().catch(close); // offline: nothing is offered
    },
    list: current && (
      <current.List
        id={LIST_ID}
        choices={current.choices}
        index={current.index}
        onChoose={(index) => choose(current, index)}
      />
    ),
  };
}
