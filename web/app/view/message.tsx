import type { ComponentChildren } from 'preact';
import { formatTime, formatTimestamp, visibleName } from './format.ts';
import { Text } from './text.tsx';

interface Props {
  readonly from: string;
  readonly at: number;
  readonly text: string;
  /** Whether the message is the first of its group and shows its author. */
  readonly first: boolean;
  /** Whether the reader sent it. */
  readonly own: boolean;
  /** Whether the server has lost the message. */
  readonly lost?: boolean;
}

/** A message in the log, or one that the log has lost. */
export function Message({ from, at, text, first, own, lost }: Props) {
  return (
    <Bubble from={from} first={first} own={own} at={at}>
      <Text text={text} />
      {lost ? (
        <span class="send-status">Not stored</span>
      ) : (
        own && (
          <span class="tick" title="Sent">
            <span aria-hidden="true">✓</span>
            <span class="visually-hidden">Sent</span>
          </span>
        )
      )}
    </Bubble>
  );
}

interface BubbleProps {
  readonly from: string;
  readonly first: boolean;
  readonly own: boolean;
  readonly at?: number;
  readonly children: ComponentChildren;
}

/** The avatar, author and time around the content of a message. */
export function Bubble({ from, first, own, at, children }: BubbleProps) {
  const name = visibleName(from);
  const time = at === undefined ? null : <Time at={at} />;
  return (
    <li class={`message${first ? ' first' : ''}${own ? ' own' : ''}`}>
      {first ? <Avatar name={name} /> : <span class="hover-time">{time}</span>}
      <div class="body">
        {first && (
          <p class="byline">
            <bdi class="author">{name}</bdi>
            {own && <span class="you">you</span>}
            {time}
          </p>
        )}
        <div class="content">{children}</div>
      </div>
    </li>
  );
}

function Time({ at }: { at: number }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={formatTimestamp(at)}>
      {formatTime(at)}
    </time>
  );
}

const HUES = 8;

/** The first letter of a name on a color derived from the name. */
export function Avatar({ name }: { name: string }) {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return (
    <span class={`avatar hue-${hash % HUES}`} aria-hidden="true">
      {[...name][0]?.toLocaleUpperCase()}
    </span>
  );
}
