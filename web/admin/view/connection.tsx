import {
  AUTHENTICATED,
  describeCursor,
  describeEnd,
  describeEvent,
  describeReport,
  describeRoundTrips,
  explainEnd,
  type Formats,
  formatDuration,
} from '../../../src/protocol/explain-life.ts';
import type { ConnectionLife } from '../../../src/protocol/session-life.ts';
import { visibleName } from '../state/names.ts';
import { formatTime } from './format.ts';
import { Timeline } from './timeline.tsx';

// The isolates keep a name of another direction from turning the rest of its line.
const formats: Formats = { time: formatTime, name: (text) => `\u2068${visibleName(text)}\u2069` };

const dateFormat = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' });

/** A line of the list. Without a time it is about the whole connection. */
interface Line {
  readonly at?: number;
  readonly side: 'server' | 'client';
  readonly text: string;
}

/** Returns what is known of a connection as lines, in the order of time. */
function linesOf(life: ConnectionLife): readonly Line[] {
  const { openedAt, authentication, resumed, forgotten, events, roundTrips, cursors, end, report } = life;
  const timed: Line[] = events.map((event) => ({
    at: event.at,
    side: 'server',
    text: describeEvent(event, end?.at, formats),
  }));
  if (end) timed.push({ at: end.at, side: 'server', text: describeEnd(end, formats) });
  if (report) {
    const { at, away } = report;
    timed.push({ at: at - away, side: 'client', text: describeReport(report, formats) });
    timed.push({ at, side: 'client', text: 'is back, and has reported' });
  }
  const how = `${AUTHENTICATED[authentication]}${resumed ? ', and resumed its session' : ''}`;
  return [
    { at: openedAt, side: 'server', text: `connected ${how}` },
    ...(forgotten > 0 ? [{ side: 'server', text: `${forgotten} earlier events are no longer kept` } as const] : []),
    ...timed.sort((a, b) => (a.at as number) - (b.at as number)),
    ...(roundTrips ? [{ side: 'server', text: describeRoundTrips(roundTrips) } as const] : []),
    ...cursors.map((cursor): Line => ({ side: 'server', text: describeCursor(cursor, formats) })),
  ];
}

interface ConnectionProps {
  readonly life: ConnectionLife;
  /** When the server answered. */
  readonly now: number;
  /** Its heading follows those around it. */
  readonly heading: 'h2' | 'h3';
}

/** One connection: why it ended, its time line, and the same as a list. */
export function Connection({ life, now, heading: Heading }: ConnectionProps) {
  const { openedAt, end, wire, remoteAddress } = life;
  const { meaning, advice } = explainEnd(life);
  const span = formatDuration((end?.at ?? now) - openedAt);
  return (
    <article class="panel connection" data-open={end === undefined}>
      <header>
        <Heading>
          {dateFormat.format(openedAt)}, {formatTime(openedAt)}
        </Heading>
        <span class="unit">
          {end ? `lasted ${span}` : `open for ${span}`}, wire {wire}, from {visibleName(remoteAddress)}
        </span>
      </header>
      <p class="meaning">
        <strong>{meaning}</strong> {end && advice}
      </p>
      <Timeline life={life} now={now} />
      <ol class="life">
        {linesOf(life).map(({ at, side, text }) => (
          <li key={`${at} ${text}`} data-side={side}>
            {at === undefined ? (
              <span class="timeless" />
            ) : (
              <time dateTime={new Date(at).toISOString()}>{formatTime(at)}</time>
            )}
            <span>
              {side === 'client' && <b>Client: </b>}
              {text}
            </span>
          </li>
        ))}
      </ol>
    </article>
  );
}

/** What the signs of the time lines mean. */
export function Legend() {
  return (
    <ul class="legend" aria-label="Signs of the time lines">
      <li data-sign="live">connected</li>
      <li data-sign="parked">parked: its socket accepted no data</li>
      <li data-sign="trip">answered ping</li>
      <li data-sign="joined">joined or left a room</li>
      <li data-sign="refused">error</li>
      <li data-sign="end">end, with its code</li>
      <li data-sign="away">away</li>
      <li data-sign="offline">offline</li>
    </ul>
  );
}
