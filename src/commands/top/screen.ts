import type { Snapshot, ThreadSnapshot } from '../../protocol/snapshot.ts';
import { addHistograms, type Rates, roomRate } from './rates.ts';
import * as text from './text.ts';

/** What the screen shows. */
export interface View {
  readonly url: string;
  readonly snapshot: Snapshot;
  /** @default undefined: not known yet */
  readonly rates: Rates | undefined;
  /** Why there is no newer snapshot. @default undefined: there is */
  readonly problem?: string | undefined;
}

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green';

const CODES: Readonly<Record<Style, string>> = {
  bold: '\x1b[1m',
  dim: '\x1b[2m',
  red: '\x1b[31m',
  yellow: '\x1b[33m',
  green: '\x1b[32m',
};
const RESET = '\x1b[0m';

/** A part of a line in one style. */
interface Span {
  readonly text: string;
  readonly style?: Style | undefined;
}

type Line = readonly Span[];

// Narrower lines would hide numbers. A narrower terminal cuts them.
const MIN_COLUMNS = 80;
const EVICTIONS = 5;
const BAR_COLUMNS = 20;
const FULL = 0.9;
const BUSY = 0.7;

/** Returns the lines of the screen: as many as fit, each as wide as the screen at most. */
export function renderScreen(view: View, { columns, rows }: ScreenSize, colours: boolean): readonly string[] {
  const width = Math.max(columns, MIN_COLUMNS);
  const fixed: readonly Line[] = [
    ...header(view, width),
    ...counts(view, width),
    [],
    ...gauges(view.snapshot, width),
    [],
    ...members(view.snapshot),
  ];
  const left = Math.max(0, rows - fixed.length);
  const evictions = evictionLines(view.snapshot, width, left);
  const rooms = roomLines(view.snapshot, width, left - evictions.length);
  return [...fixed, ...rooms, ...evictions].slice(0, rows).map((line) => paint(line, columns, colours));
}

/** Removes the codes of styles from a line. */
export function withoutStyles(line: string): string {
  return [...Object.values(CODES), RESET].reduce((rest, code) => rest.replaceAll(code, ''), line);
}

/** Joins the spans of a line, cut to the columns. */
function paint(line: Line, columns: number, colours: boolean): string {
  let left = columns;
  let painted = '';
  for (const { text: part, style } of line) {
    const width = text.columnsOf(part);
    const shown = width <= left ? part : text.fitTo(part, left);
    painted += colours && style !== undefined ? `${CODES[style]}${shown}${RESET}` : shown;
    left -= Math.min(width, left);
    if (left === 0) break;
  }
  return colours ? painted : painted.trimEnd();
}

const STATES: Readonly<Record<Snapshot['state'], Span>> = {
  serving: { text: 'serving', style: 'green' },
  draining: { text: 'draining', style: 'yellow' },
  engine_away: { text: 'engine away', style: 'red' },
};

function header({ url, snapshot, problem }: View, width: number): readonly Line[] {
  const { version, state, engine, uptime, threads, missing } = snapshot;
  const workers = threads.length + missing;
  const isOnly = threads.length === 1 && missing === 0 && threads[0]?.worker === 0;
  const facts = [
    `up ${text.formatDuration(uptime)}`,
    `engine ${text.escapeControls(engine)}`,
    ...(isOnly ? [] : [`${workers} ${workers === 1 ? 'worker' : 'workers'}`]),
  ];
  const status: readonly Span[] =
    problem === undefined ? [STATES[state]] : [{ text: text.escapeControls(problem), style: 'red' }];
  const missed: readonly Span[] = missing === 0 ? [] : [{ text: `  ${missing} not answering`, style: 'red' }];
  return [
    [{ text: `Pumphouse ${text.escapeControls(version)}  `, style: 'bold' }, ...status, ...missed],
    [{ text: text.fitTo(`${facts.join('   ')}   ${text.escapeControls(url)}`, width), style: 'dim' }],
  ];
}

function counts({ snapshot, rates }: View, width: number): readonly Line[] {
  const { threads, shared } = snapshot;
  const sum = (read: (thread: ThreadSnapshot) => number) => threads.reduce((all, thread) => all + read(thread), 0);
  const rate = (value: number | undefined) => (value === undefined ? '–' : text.formatRate(value));
  const p99 = rates?.turnP99;
  const bound = p99 === undefined || Number.isFinite(p99) ? p99 : threads[0]?.turns.bounds.at(-1);
  const relation = bound === p99 ? '≤' : '>';
  const rss = Math.max(0, ...threads.map(({ memory }) => memory.rss));
  return [
    [],
    cells(width, [
      ['connections', text.formatCount(sum(({ connections }) => connections))],
      ['messages/s', rate(rates?.messages)],
      ['turns/s', rate(rates?.turns)],
    ]),
    cells(width, [
      ['rooms', text.formatCount(shared.rooms)],
      ['deliveries/s', rate(rates?.deliveries)],
      ['turn mean', rates?.turnMean === undefined ? '–' : text.formatMs(rates.turnMean)],
    ]),
    cells(width, [
      ['connects/s', rate(rates?.connects)],
      ['frames/s', rate(rates?.frames)],
      ['turn p99', bound === undefined ? '–' : `${relation} ${bound} ms`],
    ]),
    cells(width, [
      ['refusals/s', rate(rates?.refusals)],
      ['overloads/s', rate(rates?.overloads)],
      ['memory', text.formatBytes(rss)],
    ]),
  ];
}

/** Writes names and values in three columns. */
function cells(width: number, values: readonly (readonly [name: string, value: string])[]): Line {
  const column = Math.floor(width / values.length);
  return values.flatMap(([name, value], i) => [
    { text: text.fitTo(name, 13), style: 'dim' },
    { text: i === values.length - 1 ? value : text.fitTo(value, column - 13), style: 'bold' },
  ]);
}

const MAILBOXES = ['register', 'unregister', 'broadcast', 'request'] as const;
const LOADS = ['loop', 'turn', 'mailboxes', 'journal'] as const;

/**
 * Shows the mailboxes beside the loads. Of several threads the fullest one counts: `w2` is worker
 * 2.
 */
function gauges({ threads }: Snapshot, width: number): readonly Line[] {
  const half = Math.floor(width / 2);
  const bar = Math.min(BAR_COLUMNS + Math.floor((width - MIN_COLUMNS) / 4), half - 24);
  const isOnly = threads.length <= 1;
  const rows = MAILBOXES.map((name, i): Line => {
    const load = LOADS[i] as (typeof LOADS)[number];
    const posts = threads.reduce((sum, { mailboxes }) => sum + mailboxes[name].posts, 0);
    const fill = Math.max(0, ...threads.map(({ mailboxes }) => mailboxes[name].posts / mailboxes[name].capacity));
    const value = Math.max(0, ...threads.map((thread) => thread.load[load]));
    const busiest = threads.find((thread) => thread.load[load] === value)?.worker;
    const by = isOnly || value < 0.005 || load === 'journal' ? '' : `  w${busiest}`;
    return [
      { text: text.fitTo(name, 11) },
      barOf(fill, bar),
      { text: text.fitTo(text.formatCount(posts), half - bar - 13 - 2, 'right') },
      { text: `  ${text.fitTo(load, 10)}` },
      barOf(value, bar),
      { text: `${`${Math.round(value * 100)}`.padStart(4)} %` },
      { text: by, style: 'dim' },
    ];
  });
  return [
    [
      { text: text.fitTo('MAILBOXES', half), style: 'bold' },
      { text: 'LOAD', style: 'bold' },
    ],
    ...rows,
  ];
}

function barOf(share: number, columns: number): Span {
  const filled = Math.min(columns, share > 0 ? Math.max(1, Math.round(share * columns)) : 0);
  const style = share >= FULL ? 'red' : share >= BUSY ? 'yellow' : 'green';
  return { text: `[${'|'.repeat(filled)}${' '.repeat(columns - filled)}]`, style };
}

function members({ threads }: Snapshot): readonly Line[] {
  const sum = (state: keyof ThreadSnapshot['members']) =>
    threads.reduce((all, thread) => all + thread.members[state], 0);
  const behind = (count: number): Style | undefined => (count > 0 ? 'yellow' : undefined);
  const [parked, catchingUp] = [sum('parked'), sum('catchingUp')];
  return [
    [
      { text: text.fitTo('MEMBERS', 11), style: 'bold' },
      { text: `in step ${text.formatCount(sum('inStep'))}   ` },
      { text: `parked ${text.formatCount(parked)}   `, style: behind(parked) },
      { text: `catching up ${text.formatCount(catchingUp)}`, style: behind(catchingUp) },
    ],
    [{ text: text.fitTo('LAG', 11), style: 'bold' }, { text: lagText(threads) }],
  ];
}

/** Writes the buckets that have members, as `0: 12  1-10: 3  >10k: 1`. */
function lagText(threads: readonly ThreadSnapshot[]): string {
  const { bounds, counts: inBucket } = addHistograms(threads.map(({ lag }) => lag));
  const short = (bound: number) => (bound >= 1000 && bound % 1000 === 0 ? `${bound / 1000}k` : `${bound}`);
  const parts = inBucket.flatMap((count, i) => {
    if (count === 0) return [];
    const [low, high] = [(bounds[i - 1] ?? -1) + 1, bounds[i]];
    const range = high === undefined ? `>${short(low - 1)}` : low === high ? short(high) : `${low}-${short(high)}`;
    return [`${range}: ${text.formatCount(count)}`];
  });
  return parts.length === 0 ? 'no members' : `${parts.join('  ')}  (messages behind: members)`;
}

const ROOM_COLUMNS = [
  ['members', 9],
  ['msgs/s', 9],
  ['parked', 8],
  ['catching', 9],
  ['max lag', 9],
  ['seq', 11],
] as const;

/** Lists the hottest rooms that fit in `rows`. */
function roomLines(snapshot: Snapshot, width: number, rows: number): readonly Line[] {
  if (rows < 3) return [];
  const nameColumns = width - ROOM_COLUMNS.reduce((sum, [, columns]) => sum + columns, 0);
  const heading = ROOM_COLUMNS.map(([name, columns]) => text.fitTo(name, columns, 'right')).join('');
  const lines = snapshot.hottest.slice(0, rows - 2).map((room): Line => {
    const { name, members: all, parked, catchingUp, maxLag, seq } = room;
    const values = [
      text.formatCount(all),
      text.formatRate(roomRate(room, snapshot)),
      text.formatCount(parked),
      text.formatCount(catchingUp),
      text.formatCount(maxLag),
      text.formatCount(seq),
    ];
    const numbers = values.map((value, i) => text.fitTo(value, ROOM_COLUMNS[i]?.[1] as number, 'right'));
    return [
      { text: text.fitTo(text.escapeControls(name), nameColumns - 1) },
      { text: ` ${numbers.join('')}`, style: maxLag > 0 ? 'yellow' : undefined },
    ];
  });
  const quiet: readonly Line[] = lines.length > 0 ? [] : [[{ text: 'no room had a message', style: 'dim' }]];
  return [[], [{ text: text.fitTo('HOTTEST ROOMS', nameColumns) + heading, style: 'bold' }], ...lines, ...quiet];
}

const REASONS = { too_far_behind: 'too far behind', write_timeout: 'write timeout', other: 'other' } as const;

/** Lists the last evictions: a third of the rows at most, the hottest rooms have the rest. */
function evictionLines({ evictions }: Snapshot, width: number, rows: number): readonly Line[] {
  const shown = evictions.slice(0, Math.min(EVICTIONS, Math.floor(rows / 3) - 2));
  if (shown.length === 0) return [];
  const name = Math.max(8, Math.floor((width - 10 - 16 - 16) / 3));
  return [
    [],
    [{ text: 'LAST EVICTIONS', style: 'bold' }],
    ...shown.map(({ at, user, room, reason, records, session }): Line => {
      const names = [user, room].map((each) => text.fitTo(text.escapeControls(each), name - 1)).join(' ');
      const details = `${text.fitTo(REASONS[reason], 15)}${text.fitTo(`${text.formatCount(records)} behind`, 15, 'right')}`;
      return [
        { text: `${text.formatTime(at)}  `, style: 'dim' },
        { text: `${names} ${details}  ` },
        { text: text.escapeControls(session), style: 'dim' },
      ];
    }),
  ];
}
