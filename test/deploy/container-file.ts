import { readFileSync } from 'node:fs';

/** An instruction of a Dockerfile. */
interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** Reads a Dockerfile: its instructions without comments, with continued lines joined. */
export function readContainerFile(path: string): readonly Instruction[] {
  const lines = readFileSync(path, 'utf8')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n');
  return lines
    .map((line) => line.trim())
    .filter(Boolean)
    .map((line) => {
      const [, name = '', text = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
      if (!name) throw new Error(`${path}: ${JSON.stringify(line)} is not an instruction`);
      return { name, text };
    });
}

/** Returns the instructions of the last stage, which make the image. */
export function imageOf(instructions: readonly Instruction[]): ReadonlyMap<string, string> {
  const start = instructions.findLastIndex(({ name }) => name === 'FROM');
  return new Map(instructions.slice(start).map(({ name, text }) => [name, text]));
}

/** Returns the variables of an instruction ENV. */
export function variablesOf(text: string): Record<string, string> {
  return Object.fromEntries(text.split(/\s+/).map((pair) => pair.split('=') as [string, string]));
}
