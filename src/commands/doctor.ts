import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { ConfigError } from '../config/error.ts';
import type { Reporting } from '../doctor/doctor.ts';
import { adviceText, exitCodeOf, jsonOf, lineOf, summaryOf } from '../doctor/report.ts';
import { parseTarget } from '../doctor/target.ts';
import type { WalkOptions } from '../doctor/walk.ts';
import { parseOrigin } from '../protocol/origin-pattern.ts';
import { runJob } from './own-process.ts';

const MAX_ROOM_BYTES = 128;

interface Options {
  readonly token?: string;
  readonly origin?: string;
  readonly room?: string;
  readonly idle: string;
  readonly timeout: string;
  readonly json?: true;
  readonly insecure?: true;
}

/** `pumphouse doctor`: checks the path from a client to a server. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor <URL>')
    .description('Connect to a server as a client does, and report what is wrong with the proxy in between.')
    .allowExcessArguments(false)
    .option('--token <TOKEN>', 'token of a user, where the server requires one (env PUMPHOUSE_TOKEN)')
    .option('--origin <ORIGIN>', "origin of the page that connects (default: the URL's own)")
    .option('--room <NAME>', 'room to send some messages in (default: a new one)')
    .option('--idle <SECONDS>', 'how long a connection is kept idle; 0 skips that check', '70')
    .option('--timeout <SECONDS>', 'how long each other check may take', '10')
    .option('--json', 'print one JSON object')
    .option('--insecure', 'go on where the certificate is invalid')
    .addHelpText(
      'after',
      `
URL is the public address: https://chat.example, or wss://chat.example/ws with the path of the
endpoint. The exit code is 0 if no check fails, 1 if one does, and 2 for an invalid flag.
docs/deployment.md describes the checks.`,
    )
    .action(doctor);
}

async function doctor(url: string, flags: Options): Promise<void> {
  const options = optionsOf(url, flags);
  const { diagnose } = await import('../doctor/doctor.ts');
  await runJob(async (signal) => {
    const progress = new Progress();
    const print = flags.json ? {} : { found: progress.line, waiting: progress.wait };
    try {
      const diagnosis = await diagnose(options, signal, print satisfies Reporting);
      process.exitCode = exitCodeOf(diagnosis);
      if (flags.json) console.log(JSON.stringify(jsonOf(diagnosis), rounded, 2));
      else console.log(`${adviceText(diagnosis)}\n${summaryOf(diagnosis)}`);
    } finally {
      progress.stop();
    }
  });
  // A name server that does not answer would keep the process.
  process.stdout.write('', () => process.exit());
}

/** Milliseconds need no more than a tenth. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 10) / 10 : value;
}

/** Prints the findings, and on a terminal how long the idle check still takes. */
class Progress {
  #timer: NodeJS.Timeout | undefined;

  readonly line = (finding: Parameters<typeof lineOf>[0]): void => {
    this.stop();
    console.log(lineOf(finding));
  };

  readonly wait = (ms: number): void => {
    if (!process.stderr.isTTY || ms === 0) return;
    const end = Date.now() + ms;
    const show = () => {
      process.stderr.write(`\r  idle            ${Math.max(0, Math.ceil((end - Date.now()) / 1000))} s left \x1b[K`);
    };
    show();
    this.#timer = setInterval(show, 1000);
  };

  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    process.stderr.write('\r\x1b[K');
  }
}

function optionsOf(url: string, { token: given, origin, room, idle, timeout, insecure }: Options): WalkOptions {
  const parsed = parseTarget(url);
  if (parsed.kind === 'invalid') throw new ConfigError(`the URL ${parsed.reason}`);
  if (origin !== undefined && parseOrigin(origin) === undefined) {
    throw new ConfigError('--origin: is not an origin such as https://chat.example');
  }
  const token = given ?? process.env['PUMPHOUSE_TOKEN'];
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) throw new ConfigError('--token: is not a token');
  if (room !== undefined && (room === '' || Buffer.byteLength(room) > MAX_ROOM_BYTES)) {
    throw new ConfigError(`--room: a room name has 1 to ${MAX_ROOM_BYTES} bytes`);
  }
  return {
    target: parsed.target,
    token,
    origin,
    room: room ?? `doctor-${randomUUID().slice(0, 8)}`,
    idleMs: milliseconds('--idle', idle, 0, 86_400),
    timeoutMs: milliseconds('--timeout', timeout, 1, 600),
    insecure: insecure === true,
  };
}

function milliseconds(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value < min || value > max) {
    throw new ConfigError(`${flag}: "${text}" is not a number of seconds (${min} to ${max})`);
  }
  return value * 1000;
}
