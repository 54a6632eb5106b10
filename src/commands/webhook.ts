import type { Command } from 'commander';
import { ConfigError } from '../config/error.ts';

interface ServerOptions {
  readonly url: string;
  readonly key?: string;
}

interface ReplayOptions extends ServerOptions {
  readonly after: string;
  readonly room?: string;
}

/** The fields of a webhook that `list` prints. */
interface Report {
  readonly name: string;
  readonly url: string;
  readonly patterns: readonly string[];
  readonly cursors: number;
  readonly lag: number;
  readonly failingSince?: number;
  readonly lastStatus?: string;
  readonly disabled?: boolean;
  readonly rooms: readonly {
    readonly room: string;
    readonly seq: number;
    readonly head: number;
    readonly lag: number;
  }[];
}

const TIMEOUT_MS = 30_000;

/** `pumphouse webhook list|replay`: through the API of a running server. */
export function addWebhookCommand(program: Command): void {
  const webhook = program.command('webhook').description('List and replay the webhooks of a running server.');
  const withServer = (command: Command) =>
    command
      .allowExcessArguments(false)
      .option('--url <URL>', 'any node of the server', 'http://localhost:8080')
      .option('--key <KEY>', 'key with the scope admin (env PUMPHOUSE_API_KEY)');
  withServer(webhook.command('list'))
    .description('List the webhooks: where they are, and the rooms that lag.')
    .action(async (options: ServerOptions) => {
      const { webhooks } = (await call(options, 'GET', '/webhooks')) as { webhooks: readonly Report[] };
      console.log(webhooks.length === 0 ? 'no webhooks are configured' : webhooks.map(linesOf).join('\n'));
    });
  withServer(webhook.command('replay <NAME>'))
    .description('Deliver the messages after a number again, of one room or of all that are delivered further.')
    .requiredOption('--after <SEQ>', 'number of the last message that is not delivered again; 0 for all')
    .option('--room <ROOM>', 'the room (default: all rooms of the webhook)')
    .action(async (name: string, { after, room, ...options }: ReplayOptions) => {
      if (!/^\d{1,15}$/.test(after)) throw new ConfigError(`--after: "${after}" is not the number of a message`);
      const body = { after: Number(after), ...(room !== undefined && { room }) };
      const path = `/webhooks/${encodeURIComponent(name)}/replay`;
      const { rooms } = (await call(options, 'POST', path, body)) as { rooms: number };
      console.log(`${name} delivers ${rooms === 1 ? '1 room' : `${rooms} rooms`} again`);
    });
}

/** @throws ConfigError with one line unless the server answers with success. */
async function call(
  { url, key = process.env['PUMPHOUSE_API_KEY'] }: ServerOptions,
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  if (key === undefined) throw new ConfigError('set --key or PUMPHOUSE_API_KEY to a key with the scope admin');
  if (!URL.canParse(url)) throw new ConfigError(`--url: "${url}" is not a URL such as http://localhost:8080`);
  let response: Response;
  try {
    response = await fetch(new URL(`/api/v1${path}`, url), {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    const { cause, message } = error as Error & { cause?: NodeJS.ErrnoException };
    throw new ConfigError(`${url} cannot be reached (${cause?.code ?? message})`);
  }
  const answer = (await response.json().catch(() => undefined)) as { readonly detail?: string } | undefined;
  if (response.ok && answer !== undefined) return answer;
  throw new ConfigError(`${url}: ${answer?.detail ?? `the server answers with ${response.status}`}`);
}

function linesOf(report: Report): string {
  const { name, url, patterns, cursors, lag, failingSince, lastStatus, disabled, rooms } = report;
  const state = [
    `${cursors} ${cursors === 1 ? 'room' : 'rooms'}`,
    `lag ${lag}`,
    ...(disabled ? ['disabled by 410 Gone'] : []),
    ...(failingSince === undefined ? [] : [`failing since ${new Date(failingSince).toISOString()}`]),
    ...(lastStatus === undefined ? [] : [`last status ${lastStatus}`]),
  ];
  const head = [name, url, patterns.join(','), state.join(', ')].join('\t');
  const cursorsOf = rooms.map(
    ({ room, seq, head: newest, lag: behind }) => `  ${room}\t${seq} of ${newest}, lag ${behind}`,
  );
  return [head, ...cursorsOf].join('\n');
}
