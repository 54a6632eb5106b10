// Writes docs/settings.md from the table of settings: npm run docs:settings
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { flagOf, type Setting, table, variableOf } from '../src/config/settings.ts';

export const PAGE = 'docs/settings.md';

/** The text of the page. */
export function settingsPage(): string {
  const options = table.filter(({ value }) => value !== undefined);
  const fileOnly = table.filter(({ value }) => value === undefined);
  return `# Settings

<!-- Written by npm run docs:settings from src/config/settings.ts. -->

Flags override environment variables, which override the config file, which overrides the defaults.
Invalid values print one line and exit with 2. So do settings that contradict each other in an
unsafe way, such as \`--users\` without \`--auth otp\`. Other settings without an effect, and unsafe
ones, are warnings: \`serve\` logs them at the start, and \`check-config\` prints them to standard
error.

    pumphouse serve --help         # every flag
    pumphouse check-config         # each setting and its source
    pumphouse serve --config FILE  # settings from a JSON file, also PUMPHOUSE_CONFIG

${markdownTable(['flag', 'environment variable', 'config key', 'default', 'unit', 'meaning'], options.map(optionRow))}

Repeatable flags are lists: arrays in a config file, and separated by commas in the environment.
The options of \`createServer\` have the names and values of the config keys. Its default engine is
\`memory\`, and its default log level \`silent\`.

The engine \`redis\` shares rooms among several nodes: [operations](operations.md) has the settings of
Redis, and those that the nodes need to have in common.

## Settings of the config file

These have no flag and no environment variable.

${markdownTable(
  ['config key', 'default', 'meaning'],
  fileOnly.map((setting) => [code(setting.name), defaultOf(setting), cell(setting.help)]),
)}

\`\`\`json
{
  "port": 9000,
  "rooms": {
    "lobby": { "coalesce": { "maxDelayMs": 5, "maxBytes": 65536 } },
    "prices": { "slow": "latest" },
    "orders:*": { "keepDays": 30, "publishRate": { "perSecond": 5, "burst": 10 } },
    "orders:internal:*": { "publishRate": "off" }
  }
}
\`\`\`

A key of \`rooms\` is the name of a room, or a prefix followed by \`*\`. \`*\` alone matches every
room. Each setting is looked up for itself: the entry of the exact name that has it wins, then that
of the longest prefix. So a message in the room \`orders:internal:7\` is kept for 30 days and has no
limit of the room. A room may have \`*\` in its name, but no entry of its own: only prefixes match it.
All nodes need the same \`rooms\`.

- \`coalesce\` batches the messages of a busy room into larger frames. A message waits at most
  \`maxDelayMs\` (0 to 1000 milliseconds), and a batch of \`maxBytes\` (1 to 65536 bytes, default 65536)
  is sent at once. Without it each turn of the Hub sends its messages.
- \`slow\` is the policy for members that fall behind by more than the send buffer. \`evict\` (default)
  closes them, \`skip\` moves them to the newest message and announces the gap, \`latest\` sends them
  only the newest message and announces the gap.
- \`keepDays\` and \`keepMegabytes\` replace the settings of the server for the room, with the engines
  \`lmdb\` and \`redis\`. The engine \`memory\` keeps its window: 8,192 messages or 8 MiB.
- \`publishRate\` limits the messages and signals that a client sends to the rooms of the entry
  together, besides the limit of the client. \`"5:10"\` is a shorter form. The connections of one
  authenticated user have twice that rate, those of one address twenty times. More are rejected
  with \`rate_limited\` and \`retryAfter\`, and posts of one address to \`/publish\` with 429. \`off\`
  lifts the limit of a shorter prefix; the limit of the client stays. Each node counts for itself.
- \`webhooks\` names the webhooks that get the events of the room.

\`\`\`json
{
  "webhooks": [
    {
      "name": "orders",
      "url": "https://billing.example/pumphouse",
      "rooms": ["orders:*"],
      "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    }
  ]
}
\`\`\`

[Webhooks](webhooks.md) has the settings of a webhook, and the guide for its receiver.

\`\`\`json
{
  "listeners": [
    { "port": 8080 },
    { "host": "0.0.0.0", "port": 8443, "tlsCert": "cert.pem", "tlsKey": "key.pem" },
    { "port": 8081, "wire": "events", "auth": "otp", "users": "users.json" },
    { "port": 8082, "wire": "gorilla", "web": "public" }
  ]
}
\`\`\`

All listeners share the rooms, the sessions and the limits of one server. Each has a \`port\`, and
optionally its own:

- \`host\`, \`wire\`, \`tlsCert\` and \`tlsKey\`, with the defaults of the table above, not the values of
  the server.
- \`web\`, the folder of the page that it serves at \`/\`. Without it the listener serves the built-in
  chat, also if the server has \`web\`.
- \`auth\`, \`users\`, \`jwtSecret\`, \`jwtKey\`, \`jwtIssuer\` and \`jwtAudience\`, which default to the
  values of the server. A listener with \`jwtSecret\` or \`jwtKey\` does not take the other one from the
  server. \`/login\` and the built-in chat follow the \`auth\` of their listener.

So pages that can sign in and pages that cannot use one server. Listeners with equal authentication
share tickets, sessions and the limit of login attempts. A session resumes only on listeners with
the same \`auth\`, and with \`otp\` the same users file: the name of an open listener's client is not
verified. Its client may use the name of a user of the other listeners, which a warning at the start
says.
`;
}

function optionRow(setting: Setting): string[] {
  const { name, value, unit = '', help } = setting;
  return [code(`--${flagOf(name)} ${value}`), code(variableOf(name)), code(name), defaultOf(setting), unit, cell(help)];
}

function defaultOf({ fallback, otherwise = '', list }: Setting): string {
  if (list) return 'none';
  return fallback === undefined ? otherwise : code(typeof fallback === 'object' ? JSON.stringify(fallback) : fallback);
}

function code(text: unknown): string {
  return `\`${text}\``;
}

function cell(text: string): string {
  return text.replaceAll('*', '\\*').replaceAll('|', '\\|');
}

/** A table in the layout of the formatter: each column as wide as its widest cell. */
function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text, column) => text.padEnd(widths[column] as number)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(PAGE, settingsPage());
