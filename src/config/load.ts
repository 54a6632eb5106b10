import { existsSync } from 'node:fs';
import * as v from 'valibot';
import { checkConflicts, type Program } from './conflicts.ts';
import { ConfigError, didYouMean } from './error.ts';
import { flagOf, type Setting, type Settings, table, variableOf } from './settings.ts';
import { type Runtime, thisRuntime } from './shared-ports.ts';

/** The sources of settings, in order of precedence: flags, environment, config file, defaults. */
export interface Sources {
  /** By setting name; `config` is the path of the config file. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads a text file. Throws if it cannot be read. */
  readonly readFile: (path: string) => string;
  /** Reports whether a file exists. */
  readonly exists: (path: string) => boolean;
  /** @default what runs this process */
  readonly runtime?: Runtime;
}

export interface Loaded {
  readonly settings: Settings;
  /** The source of each value, such as `--port`, by setting name. */
  readonly origins: Readonly<Record<string, string>>;
  /** Settings without an effect and unsafe settings, one line each. */
  readonly warnings: readonly string[];
}

const CONFIG = 'PUMPHOUSE_CONFIG';
const API_KEY = 'PUMPHOUSE_API_KEY';

/** The origin of a value without a source. */
const DEFAULT = 'default';

/** The settings whose values no message shows, also within a listener. */
const SECRETS: ReadonlySet<string> = new Set(['jwtSecret', 'redis', 'secret']);

const names = table.map(({ name }) => name as string);

/** Merges and validates the settings. @throws ConfigError for the first invalid setting. */
export function load(sources: Sources): Loaded {
  checkVariables(sources.env);
  const path = sources.flags['config'] ?? sources.env[CONFIG];
  const file = path === undefined ? {} : readConfig(path, sources);
  const write = (name: string, value?: string) => `--${flagOf(name)}${value === undefined ? '' : ` ${value}`}`;
  return check((setting) => pick(setting, sources, path, file), { ...sources, write });
}

/**
 * Validates the settings of an embedding program.
 *
 * @param program what it passes besides the settings.
 * @throws ConfigError for the first invalid setting.
 */
export function settingsOf(given: Partial<Settings>, program: Program): Loaded {
  if (given.workers !== undefined) {
    throw new ConfigError('workers: createServer has one thread; start several with pumphouse serve --workers N');
  }
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) throw new ConfigError(`unknown option "${name}"${didYouMean(name, names)}`);
  }
  const write = (name: string, value?: string) => (value === undefined ? name : `${name}: ${JSON.stringify(value)}`);
  const read = ({ name, fallback }: Setting) =>
    given[name] === undefined ? { value: fallback, origin: DEFAULT } : { value: given[name], origin: name };
  return check(read, { exists: existsSync, write, program });
}

/** What the check of settings depends on besides their values. */
interface Surroundings {
  readonly exists: Sources['exists'];
  /** Writes a setting, and a value of it, as the user would. */
  readonly write: (name: string, value?: string) => string;
  readonly program?: Program;
  readonly runtime?: Runtime;
}

function check(read: (setting: Setting) => { value: unknown; origin: string }, surroundings: Surroundings): Loaded {
  const settings: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  for (const setting of table) {
    const { value, origin } = read(setting);
    const parsed = v.safeParse(setting.schema, value);
    if (!parsed.success) throw new ConfigError(describe(setting.name, origin, value, parsed.issues[0]));
    settings[setting.name] = parsed.output;
    origins[setting.name] = origin;
  }
  const checked = settings as unknown as Settings;
  const { exists, write, program, runtime = thisRuntime } = surroundings;
  checkPage(checked.web, origins['web'], exists);
  for (const [i, { web }] of checked.listeners.entries()) checkPage(web, `${origins['listeners']}.${i}.web`, exists);
  const given = (name: string) => origins[name] !== DEFAULT;
  const nameOf = (name: string) => (given(name) ? (origins[name] as string) : write(name));
  const naming = { settings: checked, runtime, given, nameOf, write, ...(program && { program }) };
  const warnings = checkConflicts(naming, (line) => {
    throw new ConfigError(line);
  });
  return { settings: checked, origins, warnings };
}

function checkPage(web: string | undefined, origin: string | undefined, exists: Sources['exists']): void {
  if (web === undefined || ['index.html', 'chat.html', 'home.html'].some((page) => exists(`${web}/${page}`))) return;
  throw new ConfigError(`${origin}: "${web}" has no index.html`);
}

function pick(
  { name, value, fallback }: Setting,
  { flags, env }: Sources,
  path: string | undefined,
  file: Record<string, unknown>,
) {
  const variable = variableOf(name);
  if (flags[name] !== undefined) return { value: flags[name], origin: `--${flagOf(name)}` };
  if (value !== undefined && env[variable] !== undefined) return { value: env[variable], origin: variable };
  if (file[name] !== undefined) return { value: file[name], origin: `${path}: ${name}` };
  return { value: fallback, origin: DEFAULT };
}

/** Rejects unknown variables: a misspelled one would be ignored silently. */
function checkVariables(env: Sources['env']): void {
  const variables = [CONFIG, ...table.filter(({ value }) => value !== undefined).map(({ name }) => variableOf(name))];
  for (const variable of Object.keys(env)) {
    if (variable === API_KEY) continue; // of the commands that call a running server
    if (!variable.startsWith('PUMPHOUSE_') || variables.includes(variable)) continue;
    throw new ConfigError(`${variable}: unknown setting${didYouMean(variable, variables)}`);
  }
}

function readConfig(path: string, { readFile }: Sources): Record<string, unknown> {
  let text: string;
  let parsed: unknown;
  try {
    text = readFile(path);
  } catch (error) {
    throw new ConfigError(
      `${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`,
    );
  }
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`${path}: is not JSON: ${withoutExcerpt((error as Error).message)}`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new ConfigError(`${path}: is not a JSON object of settings`);
  }
  for (const name of Object.keys(parsed)) {
    if (!names.includes(name)) throw new ConfigError(`${path}: unknown setting "${name}"${didYouMean(name, names)}`);
  }
  return parsed as Record<string, unknown>;
}

/** Removes what `JSON.parse` quotes of the text: it may hold a secret. */
function withoutExcerpt(message: string): string {
  return message.replace(/, (\.\.\.)?".*"(\.\.\.)? is not valid JSON$/s, '').replaceAll(/\s+/g, ' ');
}

/** One line with the source, the value unless it is a secret, and what is expected. */
function describe(name: string, origin: string, value: unknown, issue: v.BaseIssue<unknown>): string {
  const path = issue.path?.map(({ key }) => String(key)).join('.');
  const invalid = path ? issue.input : value;
  const isSecret = [name, ...(issue.path ?? []).map(({ key }) => String(key))].some((key) => SECRETS.has(key));
  const text = isSecret ? 'the value' : printable(invalid);
  const where = path ? `${origin}.${path}` : origin;
  const isOurs = /^is not /.test(issue.message); // valibot's own messages name the value themselves
  return isOurs ? `${where}: ${text} ${issue.message}` : `${where}: ${issue.message.replaceAll(/\s+/g, ' ')}`;
}

function printable(invalid: unknown): string {
  if (invalid === undefined) return 'nothing';
  const text = JSON.stringify(invalid, (key, inner) => (SECRETS.has(key) ? '(set)' : inner)) ?? String(invalid);
  return text.slice(0, 100);
}
