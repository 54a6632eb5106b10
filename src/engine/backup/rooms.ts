import { BackupError } from './error.ts';
import { type BlockKey, isBlockKey, isRoomLine, type RoomLine } from './format.ts';
import { linesOf, type Sum } from './input-file.ts';

/** A part of a backup's messages: rooms, each followed by its blocks. */
export type Item =
  | { readonly kind: 'room'; readonly room: RoomLine }
  | { readonly kind: 'block'; readonly key: BlockKey; readonly lines: readonly Buffer[] };

/** Yields a backup's rooms and blocks. Rejects with BackupError at a damaged line. */
export async function* itemsOf(path: string, sum?: Sum): AsyncGenerator<Item> {
  let number = 0;
  let block: { key: BlockKey; lines: Buffer[]; missing: number } | undefined;
  for await (const lines of linesOf(path, sum)) {
    for (const line of lines) {
      number++;
      if (block) {
        block.lines.push(line);
        if (--block.missing > 0) continue;
        yield { kind: 'block', key: block.key, lines: block.lines };
        block = undefined;
        continue;
      }
      const parsed = parse(line);
      if (isRoomLine(parsed)) yield { kind: 'room', room: parsed };
      else if (isBlockKey(parsed?.block)) block = { key: parsed.block, lines: [], missing: countOf(parsed.block) };
      else throw new BackupError(`${path} is damaged in line ${number}`);
    }
  }
  if (block) throw new BackupError(`${path} ends within a block`);
}

function countOf([last, first]: BlockKey): number {
  return last - first + 1;
}

function parse(line: Buffer): { readonly block?: unknown } | null {
  try {
    return JSON.parse(line.toString()) as { readonly block?: unknown } | null;
  } catch {
    return null;
  }
}
