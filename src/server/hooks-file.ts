import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Hooks } from '../accept/hooks.ts';
import { ConfigError, didYouMean } from '../config/error.ts';

const NAMES: readonly string[] = ['connect', 'join', 'send'] satisfies (keyof Hooks)[];

// What Node and compilers add to the exports of CommonJS modules.
const ADDED: readonly string[] = ['default', 'module.exports', '__esModule'];

type Exports = Readonly<Record<string, unknown>>;

/**
 * Loads the hooks of a module, ES or CommonJS: its named exports, and those of a default object.
 *
 * @throws ConfigError with one line if the module cannot be loaded, if it exports anything but
 * hooks, and if it exports none.
 */
export async function loadHooks(path: string): Promise<Hooks> {
  const fail = (problem: string): never => {
    throw new ConfigError(`the hooks file ${path} ${problem}`);
  };
  checkFile(path, fail);
  let module: Exports;
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as Exports;
  } catch (error) {
    return fail(`cannot be loaded: ${firstLine(error)}`);
  }
  return hooksOf(module, fail);
}

function checkFile(path: string, fail: (problem: string) => never): void {
  try {
    if (statSync(path).isFile()) return;
  } catch (error) {
    fail(`cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  fail('is not a file');
}

function hooksOf(module: Exports, fail: (problem: string) => never): Hooks {
  const main = mainOf(module);
  if (main !== undefined && !isObject(main)) fail('has a default export that is not an object of hooks');
  const exported = { ...module, ...(main as Exports | undefined) };
  const names = Object.keys(exported).filter((name) => !ADDED.includes(name));
  for (const name of names) {
    if (!NAMES.includes(name)) fail(`exports "${name}", which is no hook${didYouMean(name, NAMES) || HOOKS}`);
    if (typeof exported[name] !== 'function') fail(`exports ${name}, which is not a function`);
    const twice = Object.hasOwn(module, name) && isObject(main) && Object.hasOwn(main, name);
    if (twice && module[name] !== main[name]) fail(`exports two hooks ${name}: its own, and one of its default`);
  }
  if (names.length === 0) fail(`exports no hook${HOOKS}`);
  return Object.fromEntries(names.map((name) => [name, exported[name]]));
}

const HOOKS = `; hooks are ${NAMES.join(', ')}`;

/** The default export. An ES module that a compiler made CommonJS has it one level below. */
function mainOf({ default: main }: Exports): unknown {
  return isObject(main) && main['__esModule'] === true && 'default' in main ? main['default'] : main;
}

function isObject(value: unknown): value is Exports {
  return typeof value === 'object' && value !== null;
}

function firstLine(error: unknown): string {
  const [line = ''] = String(error instanceof Error ? `${error.name}: ${error.message}` : error).split('\n');
  return line;
}
