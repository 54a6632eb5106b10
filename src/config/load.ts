import { existsSync } from 'node:fs';
import * as v from 'valibot';
import { ConfigError, didYouMean } from './error.ts';
import { flagOf, type Setting, type Settings, table, variableOf } from './settings.ts';

/** The sources of settings, in order of precedence: flags, environment, config file, defaults. */
export interface Sources {
  /** By setting name; `config` is the path of the config file. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads a text file. Throws if it cannot be read. */
  readonly readFile: (path: string) => string;
  /** Reports whether a file exists. */
  readonly exists: (path: string) => boolean;
}

export interface Loaded {
  readonly settings: Settings;
  /** The source of each value, such as `--port`, by setting name. */
  readonly origins: Readonly<Record<string, string>>;
}

const CONFIG = 'PUMPHOUSE_CONFIG';

const names = table.map(({ name }) => name as string);

/** Merges and validates the settings. @throws ConfigError for the first invalid setting. */
export function load(sources: Sources): Loaded {
  checkVariables(sources.env);
  const path = sources.flags['config'] ?? sources.env[CONFIG];
  const file = path === undefined ? {} : readConfig(path, sources);
  return check((setting) => pick(setting, sources, path, file), sources.exists);
}

/**
 * Validates the settings of an embedding program.
 * @throws ConfigError for the first invalid setting.
 */
export function settingsOf(given: Partial<Settings>): Settings {
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) throw new ConfigError(`unknown option "${name}"${didYouMean(name, names)}`);
  }
  return check(({ name, fallback }) => ({ value: given[name] ?? fallback, origin: name }), existsSync).settings;
}

function check(read: (setting: Setting) => { value: unknown; origin: string }, exists: Sources['exists']): Loaded {
  const settings: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  for (const setting of table) {
    const { value, origin } = read(setting);
    const parsed = v.safeParse(setting.schema, value);
    if (!parsed.success) throw new ConfigError(describe(origin, value, parsed.issues[0]));
    settings[setting.name] = parsed.output;
    origins[setting.name] = origin;
  }
  const checked = settings as unknown as Settings;
  checkPage(checked.web, origins['web'], exists);
  for (const { web } of checked.listeners) checkPage(web, origins['listeners'], exists);
  for (const { tlsCert, tlsKey } of [checked, ...checked.listeners]) {
    if ((tlsCert === undefined) !== (tlsKey === undefined)) {
      throw new ConfigError('tlsCert and tlsKey go together; set both or neither');
    }
  }
  if (checked.auth === 'jwt' && (checked.jwtSecret === undefined) === (checked.jwtKey === undefined)) {
    throw new ConfigError(`${origins['auth']}: "jwt" needs one of jwtSecret and jwtKey`);
  }
  return { settings: checked, origins };
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
  return { value: fallback, origin: 'default' };
}

/** Rejects unknown variables: a misspelled one would be ignored silently. */
function checkVariables(env: Sources['env']): void {
  const variables = [CONFIG, ...table.filter(({ value }) => value !== undefined).map(({ name }) => variableOf(name))];
  for (const variable of Object.keys(env)) {
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
    throw new ConfigError(`${path}: is not JSON: ${(error as Error).message.replaceAll(/\s+/g, ' ')}`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new ConfigError(`${path}: is not a JSON object of settings`);
  }
  for (const name of Object.keys(parsed)) {
    if (!names.includes(name)) throw new ConfigError(`${path}: unknown setting "${name}"${didYouMean(name, names)}`);
  }
  return parsed as Record<string, unknown>;
}

/** One line with the source, the value and what is expected. */
function describe(origin: string, value: unknown, issue: v.BaseIssue<unknown>): string {
  const path = issue.path?.map(({ key }) => String(key)).join('.');
  const invalid = path ? issue.input : value;
  const text = invalid === undefined ? 'nothing' : (JSON.stringify(invalid) ?? String(invalid)).slice(0, 100);
  const where = path ? `${origin}.${path}` : origin;
  const isOurs = /^is not /.test(issue.message); // valibot's own messages name the value themselves
  return isOurs ? `${where}: ${text} ${issue.message}` : `${where}: ${issue.message.replaceAll(/\s+/g, ' ')}`;
}
