import { announcement } from '../state/announcer.ts';
import type { Board, Moment } from '../state/board.ts';
import type { Feed } from '../state/feed.ts';
import { lagOf, threadsOf } from '../state/figures.ts';
import { sendBound } from '../state/health.ts';
import { Chart, type Line } from './chart.tsx';
import { Evictions } from './evictions.tsx';
import { formatCount, formatMiB, formatMs, formatRate, formatShare, formatTick } from './format.ts';
import { HotRooms } from './hot-rooms.tsx';
import { LagBars } from './lag.tsx';
import { LoadBars } from './load.tsx';
import { Panel, type PanelProps } from './panel.tsx';
import { Picture } from './picture.tsx';
import { Overview, Status } from './status.tsx';
import { TITLES } from './titles.ts';

/** The Hub at work: its state, the way of its messages, and its figures. */
export function Work({ board, feed }: { board: Board; feed: Feed }) {
  const moment = board.moment.value;
  const isStale = feed.connection.value.kind === 'retrying';
  return (
    <div class="work" data-stale={isStale}>
      <div class="top">
        <h1>The Hub at work</h1>
        <Status connection={feed.connection.value} moment={moment} />
      </div>
      {moment && (
        <>
          <Overview board={board} moment={moment} />
          <Picture moment={moment} isStale={isStale} />
          {/* The charts of another scope have other data from the start on. */}
          <div class="panels" key={String(moment.scope)}>
            <Figures moment={moment} />
          </div>
          <div class="lists">
            <HotRooms snapshot={moment.snapshot} />
            <Evictions evictions={moment.snapshot.evictions} health={moment.healths.evictions} />
          </div>
        </>
      )}
      <p class="visually-hidden" role="log" aria-label="Evictions">
        {announcement.value}
      </p>
    </div>
  );
}

const LINES = {
  load: [{ figure: 'headroom', label: 'headroom', format: formatShare }],
  turns: [
    { figure: 'turnMean', label: 'mean', format: formatMs },
    { figure: 'turnP99', label: 'p99', format: formatMs },
  ],
  sends: [
    { figure: 'sendP50', label: 'p50', format: formatMs },
    { figure: 'sendP99', label: 'p99', format: formatMs },
  ],
  messages: [{ figure: 'messages', label: 'messages', format: formatRate }],
  deliveries: [
    { figure: 'deliveries', label: 'deliveries', format: formatRate },
    { figure: 'frames', label: 'frames', format: formatRate },
  ],
  connections: [
    { figure: 'connections', label: 'connections', format: formatCount },
    { figure: 'rooms', label: 'rooms', format: formatCount },
  ],
  members: [
    { figure: 'inStep', label: 'in step', format: formatCount },
    { figure: 'catchingUp', label: 'catching up', format: formatCount },
    { figure: 'parked', label: 'parked', format: formatCount },
  ],
  memory: [
    { figure: 'rss', label: 'process', format: formatMiB },
    { figure: 'heap', label: 'JavaScript heap', format: formatMiB },
  ],
} as const satisfies Record<string, readonly Line[]>;

const MiB = 1024 * 1024;
const MIB_STEPS = Array.from({ length: 20 }, (_, power) => 2 ** power * MiB);
const formatMiBTick = (bytes: number) => formatTick(bytes / MiB);

/** The panels with charts. */
function Figures({ moment }: { moment: Moment }) {
  const { snapshot, history, healths } = moment;
  const panel = (name: keyof typeof LINES | 'lag') => ({ name, title: TITLES[name], health: healths[name] });
  const chart = (name: keyof typeof LINES) => ({ title: TITLES[name], history, lines: LINES[name], at: snapshot.at });
  return (
    <>
      <Panel {...panel('load')} {...TEXTS.load}>
        <Chart
          {...chart('load')}
          minTop={1}
          tick={formatShare}
          values={(index) => <LoadBars history={history} index={index} />}
        />
      </Panel>
      <Panel {...panel('turns')} {...TEXTS.turns}>
        <Chart {...chart('turns')} minTop={1} />
      </Panel>
      <Panel {...panel('sends')} {...TEXTS.sends} normal={`Normal: a p99 below ${sendBound(snapshot.engine)} ms.`}>
        <Chart {...chart('sends')} minTop={1} />
      </Panel>
      <Panel {...panel('messages')} {...TEXTS.messages}>
        <Chart {...chart('messages')} minTop={10} />
      </Panel>
      <Panel {...panel('deliveries')} {...TEXTS.deliveries}>
        <Chart {...chart('deliveries')} minTop={10} />
      </Panel>
      <Panel {...panel('connections')} {...TEXTS.connections}>
        <Chart {...chart('connections')} minTop={10} />
      </Panel>
      <Panel {...panel('members')} {...TEXTS.members}>
        <Chart {...chart('members')} minTop={10} />
      </Panel>
      <Panel {...panel('lag')} {...TEXTS.lag}>
        <LagBars lag={lagOf(threadsOf(snapshot, moment.scope))} />
      </Panel>
      <Panel {...panel('memory')} {...TEXTS.memory}>
        <Chart {...chart('memory')} minTop={64 * MiB} tick={formatMiBTick} steps={MIB_STEPS} />
      </Panel>
    </>
  );
}

/** What is normal, as docs/monitoring.md says, and what to do when it is not. */
const TEXTS: Record<keyof typeof LINES | 'lag', Pick<PanelProps, 'unit' | 'normal' | 'advice'>> = {
  load: {
    unit: 'share of the fullest thread',
    normal: 'Normal: headroom above 30 %, and each bar below its mark.',
    advice: 'The fullest resource limits the server: more workers for the loop, a faster disk for the journal.',
  },
  turns: {
    unit: 'ms',
    normal: 'Normal: a p99 below 10 ms.',
    advice: 'A turn delivers to too many members at once: use more workers. A profile shows what takes the time.',
  },
  sends: {
    unit: 'ms',
    normal: '',
    advice: 'The store is slow, or turns are: compare with the turn’s duration.',
  },
  messages: {
    unit: 'messages/s',
    normal: 'Normal: no sender gets the error busy.',
    advice: 'A mailbox was full, and senders got the error busy: limit their rate, or divide the rooms among nodes.',
  },
  deliveries: {
    unit: 'per second',
    normal: 'Normal: fewer than 256 posts wait in the mailboxes.',
    advice: 'The Hub is behind its clients.',
  },
  connections: {
    unit: 'now',
    normal: 'Normal: steady, and no handshake refused in the last minute.',
    advice: 'Handshakes were refused: the log names each cause and the setting that would allow it.',
  },
  members: {
    unit: 'members now',
    normal: 'Normal: at least 95 % in step.',
    advice: 'Parked sockets accept no data: many at once point to the server’s own network.',
  },
  lag: {
    unit: 'members, by messages behind',
    normal: 'Normal: a p99 of 0.',
    advice: 'Near the send buffer, members are about to be evicted.',
  },
  memory: {
    unit: 'MiB',
    normal: 'Normal: steady under a steady load.',
    advice: 'It has doubled within ten minutes: more rooms and histories are in memory.',
  },
};
