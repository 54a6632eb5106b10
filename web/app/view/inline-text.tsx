import { partsOf } from '../state/links.ts';

/** The attributes of a link in a message: its target learns nothing of this page. */
export const LINK_PROPS = { target: '_blank', rel: 'noopener noreferrer nofollow ugc' } as const;

/** Returns the attributes of a link. A link to another part of this page opens in place. */
function propsOf(href: string) {
  return href.startsWith(`${location.origin}${location.pathname}#`) ? {} : LINK_PROPS;
}

/** A text as it was typed, with its URLs as links. */
export function InlineText({ text }: { text: string }) {
  return (
    <>
      {partsOf(text).map(({ text: part, href }) =>
        href === undefined ? (
          part
        ) : (
          <a href={href} {...propsOf(href)}>
            {part}
          </a>
        ),
      )}
    </>
  );
}
