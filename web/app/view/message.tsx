import type { ComponentChildren } from 'preact';
import { Text } from './text.tsx';
import { momentOf, timeOf, visible } from './words.ts';

interface Props {
  readonly from: string;
  readonly at: number;
  readonly text: string;
  /** Whether it is the first of its group, and says who speaks. */
  readonly first: boolean;
  readonly own: boolean;
}

/** Something that was said. */
export function Message({ from, at, text, first, own }: Props) {
  return (
    <Bubble from={from} first={first} own={own} time={at}>
      <Text text={text} />
      {own && (
        <span class="tick" title="Sent">
          <span aria-hidden="true">✓</span>
          <span class="spoken">Sent</span>
        </span>
      )}
    </Bubble>
  );
}

interface BubbleProps {
  readonly from: string;
  readonly first: boolean;
  readonly own: boolean;
  readonly time?: number;
  readonly children: ComponentChildren;
}

/** Who speaks, and when, beside what is said. */
export function Bubble({ from, first, own, time, children }: BubbleProps) {
  const name = visible(from);
  const when = time === undefined ? null : <Time at={time} />;
  return (
    <li class={`message${first ? ' first' : ''}${own ? ' own' : ''}`}>
      {first ? <Avatar name={name} /> : <span class="aside">{when}</span>}
      <div class="body">
        {first && (
          <p class="by">
            <bdi class="author">{name}</bdi>
            {own && <span class="you">you</span>}
            {when}
          </p>
        )}
        <div class="said">{children}</div>
      </div>
    </li>
  );
}

function Time({ at }: { at: number }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={momentOf(at)}>
      {timeOf(at)}
    </time>
  );
}

const HUES = 8;

/** The first letter of a name, in a colour of its own. */
export function Avatar({ name }: { name: string }) {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return (
    <span class={`avatar hue-${hash % HUES}`} aria-hidden="true">
      {[...name][0]?.toLocaleUpperCase()}
    </span>
  );
}
