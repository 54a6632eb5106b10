import type { Chat } from '../state/chat.ts';
import type { Conversation } from '../state/conversation.ts';
import type { Person } from '../state/people.ts';
import type { MessageEntry } from '../state/timeline.ts';

/** A message of the log, and where it is. */
export interface MessageContext {
  readonly chat: Chat;
  readonly room: Conversation;
  readonly message: MessageEntry;
  readonly author: Person;
}
