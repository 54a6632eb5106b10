import { partsOf } from '../state/links.ts';

/** The attributes of a link in a message: its target learns nothing of this page. */
export const LINK_PROPS = { target: '_blank', rel: 'noopener noreferrer nofollow ugc' } as const;

/** A text as it was typed, with its URLs as links. */
export function InlineText({ text }: { text: string }) {
  return (
    <>
      {partsOf(text).map(({ text: part, href }) =>
        href === undefined ? (
          part
        ) : (
          <a href={href} {...LINK_PROPS}>
            {part}
          </a>
        ),
      )}
    </>
  );
}
