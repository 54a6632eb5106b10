import type { MailboxLevel, Snapshot } from '../../../src/protocol/snapshot.ts';
import type { Moment } from '../state/board.ts';
import { type Figures, threadsOf } from '../state/figures.ts';
import { Flow, speedOf, useMotion } from './flow.tsx';
import { formatCount, formatMs, formatRate, formatShare } from './format.ts';
import { type Box, type Layout, TALL, WIDE } from './picture-layout.ts';
import { isWide } from './theme.ts';

const MAILBOXES = ['register', 'unregister', 'broadcast', 'request'] as const;

interface PictureProps {
  readonly moment: Moment;
  /** Whether nothing is known of the present, so that nothing moves. */
  readonly isStale: boolean;
}

/** The way of the messages through the Hub: its levels, and what runs between them. */
export function Picture({ moment: { snapshot, scope, figures }, isStale }: PictureProps) {
  const layout = isWide.value ? WIDE : TALL;
  const { size } = layout;
  const levels = mailboxLevels(snapshot, scope);
  const intake = sum(figures?.messages, figures?.connects, figures?.closes);
  const rate = (value: number | null | undefined) => (isStale ? null : (value ?? null));
  return (
    <section class="panel" data-panel="picture" aria-labelledby="panel-picture">
      <header>
        <h2 id="panel-picture">The way of a message</h2>
        <span class="unit">levels now, and rates per second</span>
      </header>
      <div class="picture" data-wide={isWide.value}>
        <svg viewBox={`0 0 ${size.join(' ')}`} role="img" aria-label={describe(levels, snapshot.engine, figures)}>
          <Pipes layout={layout} />
          {layout.titles.map(({ text, x, y }) => (
            <text key={text} class="title" x={x} y={y}>
              {text}
            </text>
          ))}
          <Station box={layout.clients} value={formatCount(figures?.connections)} label="connections" />
          {MAILBOXES.map((name, i) => (
            <Tank key={name} box={layout.mailboxes[i] as Box} label={name} {...textsOf(levels[name])} />
          ))}
          <Turn box={layout.turn} figures={figures} />
          <Log box={layout.log} engine={snapshot.engine} figures={figures} />
          <Cursors boxes={layout.cursors} figures={figures} />
          <Station box={layout.pumps} value={formatRate(figures?.frames)} label="frames/s" />
        </svg>
        <Wheel box={layout.turn} size={size} rate={rate(figures?.turns)} />
        <Flow size={size} pipe={layout.intake} rate={rate(intake)} />
        {layout.posts.map((pipe) => (
          <Flow size={size} key={pipe.y} pipe={pipe} rate={rate(figures?.turns)} />
        ))}
        <Flow size={size} pipe={layout.batches} rate={rate(figures?.batches)} />
        <Flow size={size} pipe={layout.records} rate={rate(figures?.deliveries)} />
        {layout.frames.map((pipe) => (
          <Flow size={size} key={pipe.y} pipe={pipe} rate={rate(figures?.frames)} />
        ))}
      </div>
      <p class="normal">
        Normal: mailboxes near 0, and nearly all members in step with the log. A post waits in its mailbox for the next
        turn, which commits it to the log. Each member is a cursor in the log, and its pump sends what follows.
      </p>
    </section>
  );
}

function sum(...rates: readonly (number | null | undefined)[]): number {
  return rates.reduce((all: number, rate) => all + (rate ?? 0), 0);
}

/** Returns the levels of a scope: what all of its threads hold. */
function mailboxLevels(snapshot: Snapshot, scope: Moment['scope']): Record<(typeof MAILBOXES)[number], MailboxLevel> {
  const threads = threadsOf(snapshot, scope);
  const level = (name: (typeof MAILBOXES)[number]) =>
    threads.reduce(
      ({ posts, capacity }, { mailboxes }) => ({
        posts: posts + mailboxes[name].posts,
        capacity: capacity + mailboxes[name].capacity,
      }),
      { posts: 0, capacity: 0 },
    );
  return {
    register: level('register'),
    unregister: level('unregister'),
    broadcast: level('broadcast'),
    request: level('request'),
  };
}

function textsOf({ posts, capacity }: MailboxLevel) {
  return { value: formatCount(posts), detail: `of ${formatCount(capacity)}`, share: posts / Math.max(1, capacity) };
}

function describe(
  levels: Record<(typeof MAILBOXES)[number], MailboxLevel>,
  engine: string,
  figures: Figures | undefined,
): string {
  const mailboxes = MAILBOXES.map((name) => `${name} ${formatCount(levels[name].posts)}`).join(', ');
  return [
    `${formatCount(figures?.connections)} connections`,
    `posts in mailboxes: ${mailboxes}`,
    `${formatRate(figures?.turns)} turns a second`,
    `${formatRate(figures?.messages)} messages a second to the engine ${engine}`,
    `members: ${formatCount(figures?.inStep)} in step, ${formatCount(figures?.catchingUp)} catching up, ${formatCount(figures?.parked)} parked`,
    `${formatRate(figures?.frames)} frames a second`,
  ].join('; ');
}

function Pipes({ layout }: { layout: Layout }) {
  const { joints, intake, posts, batches, records, frames } = layout;
  return [...joints, intake, ...posts, batches, records, ...frames].map(({ x, y, length, isVertical }) => (
    <line
      key={`${x} ${y} ${isVertical}`}
      class="pipe"
      x1={x}
      y1={y}
      x2={isVertical ? x : x + length}
      y2={isVertical ? y + length : y}
    />
  ));
}

function Station({ box, value, label }: { box: Box; value: string; label: string }) {
  const center = box.x + box.width / 2;
  return (
    <>
      <rect class="station" x={box.x} y={box.y} width={box.width} height={box.height} rx={12} />
      <text class="value" x={center} y={box.y + box.height / 2} text-anchor="middle">
        {value}
      </text>
      <text class="label" x={center} y={box.y + box.height / 2 + 17} text-anchor="middle">
        {label}
      </text>
    </>
  );
}

interface TankProps {
  readonly box: Box;
  readonly label: string;
  readonly value: string;
  readonly detail: string;
  /** How full it is, from 0 to 1. */
  readonly share: number;
  readonly tone?: 'watch';
}

/** A box that fills from the left. */
function Tank({ box: { x, y, width, height }, label, value, detail, share, tone }: TankProps) {
  // What is not empty is seen.
  const filled = share > 0 ? Math.max(0.02, Math.min(1, share)) : 0;
  return (
    <g transform={`translate(${x} ${y})`} data-tone={tone}>
      <rect class="station" x={0.75} y={0.75} width={width - 1.5} height={height - 1.5} rx={11} />
      <rect class="water" x={3} y={3} width={width - 6} height={height - 6} rx={8} style={{ scale: `${filled} 1` }} />
      <text class="label" x={12} y={height / 2 - 3}>
        {label}
      </text>
      <text class="value small" x={12} y={height / 2 + 15}>
        {value}
        <tspan class="label" dx={5}>
          {detail}
        </tspan>
      </text>
    </g>
  );
}

function Turn({ box, figures }: { box: Box; figures: Figures | undefined }) {
  const [x, y, radius] = [box.x + box.width / 2, box.y + box.height / 2, box.width / 2];
  return (
    <>
      <circle class="station" cx={x} cy={y} r={radius - 1} />
      <text class="value" x={x} y={y - 4} text-anchor="middle">
        {formatRate(figures?.turns)}
      </text>
      <text class="label" x={x} y={y + 13} text-anchor="middle">
        turns/s
      </text>
      <text class="label" x={x} y={y + 30} text-anchor="middle">
        {figures?.turnMean == null ? '' : `${formatMs(figures.turnMean)} ms`}
      </text>
    </>
  );
}

const ROUND = [{ transform: 'rotate(0deg)' }, { transform: 'rotate(360deg)' }];

/** The rim of the turn, which goes round as turns do. */
function Wheel({ box, size, rate }: { box: Box; size: readonly [number, number]; rate: number | null }) {
  const wheel = useMotion(ROUND, 16_000, speedOf(rate));
  const style = {
    left: `${(100 * box.x) / size[0]}%`,
    top: `${(100 * box.y) / size[1]}%`,
    width: `${(100 * box.width) / size[0]}%`,
  };
  return (
    <svg class="wheel" viewBox="0 0 100 100" ref={wheel} style={style} aria-hidden="true">
      <circle cx="50" cy="50" r="44" pathLength="24" />
    </svg>
  );
}

function Log({
  box: { x, y, width, height },
  engine,
  figures,
}: {
  box: Box;
  engine: string;
  figures?: Figures | undefined;
}) {
  const lines = Math.floor((height - 84) / 12);
  return (
    <g transform={`translate(${x} ${y})`}>
      <rect class="station" x={0.75} y={0.75} width={width - 1.5} height={height - 1.5} rx={11} />
      <text class="value" x={14} y={32}>
        {formatRate(figures?.messages)}
        <tspan class="label" dx={5}>
          messages/s
        </tspan>
      </text>
      <text class="label" x={14} y={52}>
        in {formatRate(figures?.batches)} batches/s
      </text>
      <text class="label" x={14} y={72}>
        {engine}, journal {formatShare(figures?.journal)}
      </text>
      {Array.from({ length: Math.max(0, lines) }, (_, i) => (
        <line key={i} class="record" x1={14} x2={width - 14 - ((i * 37) % 50)} y1={90 + 12 * i} y2={90 + 12 * i} />
      ))}
    </g>
  );
}

function Cursors({ boxes, figures }: { boxes: Layout['cursors']; figures: Figures | undefined }) {
  const members = sum(figures?.inStep, figures?.catchingUp, figures?.parked);
  const tank = (value: number | null | undefined) => ({
    value: formatCount(value),
    share: (value ?? 0) / Math.max(1, members),
  });
  return (
    <>
      <Tank box={boxes[0]} label="in step" detail="" {...tank(figures?.inStep)} />
      <Tank box={boxes[1]} label="catching up" detail="" {...tank(figures?.catchingUp)} tone="watch" />
      <Tank box={boxes[2]} label="parked" detail="" {...tank(figures?.parked)} tone="watch" />
    </>
  );
}
