import { Gauge, type Registry } from 'prom-client';
import { collectValue } from './hub-metrics.ts';

/** Bytes that an engine keeps on the disk. */
export interface StorageReadings {
  readonly journalBytes: number;
  readonly storeBytes: number;
}

/** Collects the bytes that the engine keeps on the disk. */
export function collectStorage(registry: Registry, read: () => StorageReadings): void {
  const journalHelp = 'Bytes of the journal: messages on their way to the store.';
  collectValue(Gauge, registry, 'pumphouse_journal_bytes', journalHelp, () => read().journalBytes);
  collectValue(Gauge, registry, 'pumphouse_store_bytes', 'Size of the store.', () => read().storeBytes);
}
