import { describeServer, type Finding } from './checks.ts';
import { isErrorReply, isNoAnswer } from './driver.ts';
import { askOnce } from './link.ts';
import { addressOf, at, parseSentinel } from './primary.ts';

/** The servers of the engine. With a `sentinel` the URLs are those of its sentinels. */
export interface RedisServers {
  readonly urls: readonly string[];
  /** The primary's name among the sentinels, after their own credentials if they have any. */
  readonly sentinel?: string | undefined;
}

const TIMEOUT_MS = 5_000;

/**
 * Connects to the servers and describes how they keep messages. Its lines name a server by host and
 * port, never a user or a password.
 *
 * @throws Error with one line if a server cannot be reached or used.
 */
export async function inspect({ urls, sentinel }: RedisServers): Promise<readonly Finding[]> {
  if (sentinel !== undefined) return inspectPrimary(urls, sentinel);
  return (await Promise.all(urls.map(inspectServer))).flat();
}

async function inspectServer(url: string): Promise<readonly Finding[]> {
  const findings = await named(url, () => describeServer((args) => askOnce(url, args, TIMEOUT_MS)));
  return findings.map(({ kind, text }) => ({ kind, text: `${hostOf(url)}: ${text}` }));
}

/** Sentinels that are down are warnings while one answers. */
async function inspectPrimary(urls: readonly string[], text: string): Promise<readonly Finding[]> {
  const sentinel = parseSentinel(text);
  const answers = await Promise.allSettled(
    urls.map((url) => named(url, async () => at(url, ...(await addressOf(url, sentinel))))),
  );
  const primaries = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const failures = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as Error] : []));
  const [primary] = primaries;
  if (primary === undefined) throw failures[0];
  const answer = `${primaries.length} of ${urls.length} sentinels answer: ${sentinel.name} is at ${hostOf(primary)}`;
  const warnings = failures.map(({ message }): Finding => ({ kind: 'warning', text: message }));
  return [{ kind: 'ok', text: answer }, ...warnings, ...(await inspectServer(primary))];
}

/** Names the server in an error. */
async function named<T>(url: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`${hostOf(url)}: ${reasonOf(error as NodeJS.ErrnoException)}`, { cause: error });
  }
}

function reasonOf(error: NodeJS.ErrnoException): string {
  const { code, message } = error;
  if (isNoAnswer(error)) return 'no answer';
  if (code !== undefined) return `cannot be reached (${code})`;
  if (!isErrorReply(error)) return message;
  if (/unknown command .?hello/i.test(message)) return 'is too old; use version 7 or newer';
  return message.startsWith('NOAUTH') ? 'requires a password' : `rejects the connection: ${message}`;
}

function hostOf(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port || '6379'}`;
}
