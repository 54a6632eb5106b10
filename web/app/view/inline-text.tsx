import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { fold } from '../state/completion.ts';
import type { Conversation } from '../state/conversation.ts';
import { partsOf } from '../state/links.ts';
import { mentionsIn } from '../state/mentions.ts';
import { visibleName } from './format.ts';

/** The room whose messages are shown: its people can be mentioned. */
export const RoomContext = createContext<Conversation | undefined>(undefined);

/** The attributes of a link in a message: its target learns nothing of this page. */
const LINK_PROPS = { target: '_blank', rel: 'noopener noreferrer nofollow ugc' } as const;

/** Returns the attributes of a link. A link to another part of this page opens in place. */
export function propsOf(href: string): Partial<typeof LINK_PROPS> {
  return href.startsWith(`${location.origin}${location.pathname}#`) ? {} : LINK_PROPS;
}

/** A text as it was typed, with its URLs as links, and with its mentions marked. */
export function InlineText({ text }: { text: string }) {
  const room = useContext(RoomContext);
  return (
    <>
      {partsOf(text).map(({ text: part, href }) => {
        if (href === undefined) return part.includes('@') && room ? mentions(part, room) : part;
        return (
          <a href={href} {...propsOf(href)}>
            {part}
          </a>
        );
      })}
    </>
  );
}

function mentions(text: string, room: Conversation) {
  const user = fold(room.user);
  return mentionsIn(text, (name) => room.knows(name)).map(({ text: part, name }) => {
    if (name === undefined) return part;
    return <span class={fold(name) === user ? 'mention me' : 'mention'}>{visibleName(part)}</span>;
  });
}
