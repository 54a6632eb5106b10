import { DataDir } from '../../src/engine/data-dir.ts';

// Holds the lock of a data directory until it is killed.
await new DataDir(process.argv[2] as string).open();
process.send?.('open');
setInterval(() => {}, 1000);
