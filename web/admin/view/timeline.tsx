import type { ConnectionLife } from '../../../src/protocol/session-life.ts';
import { formatTime } from './format.ts';

// Pixels from the top.
const SERVER = 24;
const CLIENT = 78;
const BAR = 14;
const HEIGHT = 100;

/** Where times are on the line, in percent of its width. */
interface Scale {
  readonly from: number;
  readonly to: number;
  at(time: number): string;
  /** The width of a span. */
  width(from: number, to: number): string;
}

/** Room at the right for the last sign. */
const USED_PERCENT = 97;

function scaleOf({ openedAt, end, report }: ConnectionLife, now: number): Scale {
  const to = Math.max(openedAt + 1_000, end?.at ?? now, report?.at ?? 0);
  const percent = (time: number) =>
    ((Math.min(Math.max(time, openedAt), to) - openedAt) / (to - openedAt)) * USED_PERCENT;
  return {
    from: openedAt,
    to,
    at: (time) => `${1 + percent(time)}%`,
    width: (from, until) => `${Math.max(0, percent(until) - percent(from))}%`,
  };
}

/**
 * Draws what the server recorded of a connection above what its client reported, on one scale. The
 * list beside it has the same as text.
 *
 * @param now the end of the line while the connection is open.
 */
export function Timeline({ life, now }: { life: ConnectionLife; now: number }) {
  const scale = scaleOf(life, now);
  return (
    <div class="timeline" aria-hidden="true">
      <svg aria-hidden="true" width="100%" height={HEIGHT}>
        <ServerLane life={life} scale={scale} now={now} />
        <ClientLane life={life} scale={scale} />
      </svg>
      <p class="timeline-ends">
        <span>{formatTime(scale.from)}</span>
        <span>{formatTime(scale.to)}</span>
      </p>
    </div>
  );
}

function ServerLane({ life, scale, now }: { life: ConnectionLife; scale: Scale; now: number }) {
  const { openedAt, events, roundTrips, end } = life;
  const until = end?.at ?? now;
  return (
    <g>
      <text x="1%" y={SERVER - 10}>
        Server
      </text>
      <rect class="live" x={scale.at(openedAt)} width={scale.width(openedAt, until)} y={SERVER} height={BAR} rx="3" />
      {events.map((event) =>
        event.kind === 'parked' ? (
          <rect
            key={`${event.kind} ${event.at} ${event.room}`}
            class="parked"
            x={scale.at(event.at)}
            width={scale.width(event.at, event.until ?? until)}
            y={SERVER}
            height={BAR}
          />
        ) : (
          <Sign
            key={`${event.kind} ${event.at} ${event.room}`}
            kind={event.kind}
            at={scale.at(event.at)}
            y={SERVER + BAR}
          />
        ),
      )}
      {roundTrips?.last.map(({ at, ms }) => (
        <circle key={at} class="trip" cx={scale.at(at)} cy={SERVER + BAR / 2} r={ms > 1000 ? 5 : 3} />
      ))}
      {end && <End at={scale.at(end.at)} y={SERVER} code={`${end.code}`} />}
    </g>
  );
}

function ClientLane({ life: { report }, scale }: { life: ConnectionLife; scale: Scale }) {
  if (report === undefined) {
    return (
      <text class="unknown" x="1%" y={CLIENT - 10}>
        Client: no report
      </text>
    );
  }
  const ended = report.at - report.away;
  const started = ended - report.after;
  return (
    <g>
      <text x="1%" y={CLIENT - 10}>
        Client
      </text>
      <rect class="live" x={scale.at(started)} width={scale.width(started, ended)} y={CLIENT} height={BAR} rx="3" />
      <rect
        class={report.online === false ? 'offline' : 'away'}
        x={scale.at(ended)}
        width={scale.width(ended, report.at)}
        y={CLIENT + 4}
        height={BAR - 8}
      />
      <End at={scale.at(ended)} y={CLIENT} code={report.code === undefined ? '' : `${report.code}`} />
      <Sign kind="back" at={scale.at(report.at)} y={CLIENT} />
    </g>
  );
}

const SIGNS = {
  joined: 'M-1 -18h2v22h-2z',
  left: 'M-1 -18h2v22h-2z',
  refused: 'M0 2l5 9h-10z',
  back: 'M-5 -2l9 9l-9 9z',
};

/** A sign at a place in percent, which a path alone cannot have. */
function Sign({ kind, at, y }: { kind: keyof typeof SIGNS; at: string; y: number }) {
  return (
    <svg aria-hidden="true" class={kind} x={at} y={y}>
      <path d={SIGNS[kind]} />
    </svg>
  );
}

/** The mark of an end, with its code to the left where there is room. */
function End({ at, y, code }: { at: string; y: number; code: string }) {
  const isLate = Number.parseFloat(at) > 15;
  return (
    <svg aria-hidden="true" class="end" x={at} y={y}>
      <path d={`M-1.5 -5h3v${BAR + 10}h-3z`} />
      <text x={isLate ? -5 : 5} y="-8" text-anchor={isLate ? 'end' : 'start'}>
        {code}
      </text>
    </svg>
  );
}
