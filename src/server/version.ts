import { readFileSync } from 'node:fs';

/** Returns the version of Pumphouse: `unknown` in a bundle, which has no package beside it. */
export function readVersion(): string {
  try {
    const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
    return (JSON.parse(text) as { version: string }).version;
  } catch {
    return 'unknown';
  }
}
