import type { Pipe } from './flow.tsx';

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Where the stations of the picture are. */
export interface Layout {
  readonly size: readonly [width: number, height: number];
  readonly clients: Box;
  /** Register, unregister, broadcast and request. */
  readonly mailboxes: readonly [Box, Box, Box, Box];
  /** The square around the wheel. */
  readonly turn: Box;
  readonly log: Box;
  /** In step, catching up and parked. */
  readonly cursors: readonly [Box, Box, Box];
  readonly pumps: Box;
  /** Pipes that join others, where nothing is seen to run. */
  readonly joints: readonly Pipe[];
  readonly intake: Pipe;
  readonly posts: readonly Pipe[];
  readonly batches: Pipe;
  readonly records: Pipe;
  readonly frames: readonly Pipe[];
  readonly titles: readonly { readonly text: string; readonly x: number; readonly y: number }[];
}

const across = (x: number, y: number, length: number): Pipe => ({ x, y, length, isVertical: false });
const down = (x: number, y: number, length: number): Pipe => ({ x, y, length, isVertical: true });
const box = (x: number, y: number, width: number, height: number): Box => ({ x, y, width, height });

/** From left to right. */
export const WIDE: Layout = {
  size: [1200, 268],
  clients: box(0, 112, 120, 72),
  mailboxes: [box(178, 34, 226, 46), box(178, 94, 226, 46), box(178, 154, 226, 46), box(178, 214, 226, 46)],
  turn: box(478, 82, 132, 132),
  log: box(660, 72, 170, 152),
  cursors: [box(886, 50, 158, 52), box(886, 122, 158, 52), box(886, 194, 158, 52)],
  pumps: box(1096, 104, 104, 88),
  joints: [
    down(150, 57, 180),
    ...[57, 117, 177, 237].map((y) => across(150, y, 28)),
    down(432, 57, 180),
    down(858, 76, 144),
    ...[76, 148, 220].map((y) => across(858, y, 28)),
    down(1070, 76, 72),
  ],
  intake: across(120, 148, 30),
  posts: [...[57, 117, 177, 237].map((y) => across(404, y, 28)), across(432, 148, 46)],
  batches: across(610, 148, 50),
  records: across(830, 148, 28),
  frames: [across(1044, 76, 26), across(1044, 148, 52)],
  titles: [
    { text: 'Clients', x: 0, y: 100 },
    { text: 'Mailboxes', x: 178, y: 20 },
    { text: 'Turn', x: 478, y: 70 },
    { text: 'Log', x: 660, y: 60 },
    { text: 'Cursors', x: 886, y: 36 },
    { text: 'Pumps', x: 1096, y: 92 },
  ],
};

/** From top to bottom, for a phone. */
export const TALL: Layout = {
  size: [360, 700],
  clients: box(100, 24, 160, 64),
  mailboxes: [box(0, 136, 174, 46), box(186, 136, 174, 46), box(0, 192, 174, 46), box(186, 192, 174, 46)],
  turn: box(114, 272, 132, 132),
  log: box(70, 438, 220, 96),
  cursors: [box(0, 576, 114, 52), box(123, 576, 114, 52), box(246, 576, 114, 52)],
  pumps: box(70, 652, 220, 48),
  joints: [],
  intake: down(180, 88, 34),
  posts: [down(180, 238, 34)],
  batches: down(180, 404, 34),
  records: down(180, 534, 28),
  frames: [down(180, 628, 24)],
  titles: [
    { text: 'Clients', x: 0, y: 40 },
    { text: 'Mailboxes', x: 0, y: 126 },
    { text: 'Turn', x: 0, y: 290 },
    { text: 'Log', x: 0, y: 454 },
    { text: 'Cursors', x: 0, y: 566 },
    { text: 'Pumps', x: 0, y: 668 },
  ],
};
