import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../bench/free-port.ts';
import { ProgramProcess } from '../deploy/program-process.ts';

/** The sites of one proxy, each at a port of its own. */
export interface Sites<Name extends string> {
  readonly urls: Readonly<Record<Name, string>>;
  stop(): Promise<void>;
}

/** Returns the block of a site at a port of 127.0.0.1. */
type Block = (port: number, folder: string) => string;

async function write<Name extends string>(blocks: Readonly<Record<Name, Block>>) {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-doctor-'));
  const names = Object.keys(blocks) as Name[];
  const ports = await Promise.all(names.map(() => freePort()));
  const texts = names.map((name, i) => blocks[name](ports[i] as number, folder));
  const urls = Object.fromEntries(names.map((name, i) => [name, `http://127.0.0.1:${ports[i]}`]));
  return { folder, text: texts.join('\n'), urls: urls as Record<Name, string>, last: ports.at(-1) as number };
}

/** Whether something answers at a port, with any status. */
const answers = (port: number) => async () => (await fetch(`http://127.0.0.1:${port}/`)).status > 0;

async function start<Name extends string>(
  path: string,
  args: readonly string[],
  { folder, urls, last }: Awaited<ReturnType<typeof write<Name>>>,
): Promise<Sites<Name>> {
  const env = { XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
  const program = await ProgramProcess.start(path, args, answers(last), env);
  const stop = async () => {
    await program.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { urls, stop };
}

/** Starts one nginx with all sites. The last one must speak HTTP. */
export async function startNginxSites<Name extends string>(
  path: string,
  blocks: Readonly<Record<Name, Block>>,
): Promise<Sites<Name>> {
  const written = await write(blocks);
  const { folder, text } = written;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const file = join(folder, 'nginx.conf');
  const configuration = [
    process.getuid?.() === 0 ? 'user root;' : '',
    'daemon off;',
    'worker_processes 1;',
    `pid ${folder}/nginx.pid;`,
    'error_log stderr crit;',
    'events {}',
    'http {',
    'access_log off;',
    ...temporary.map((name) => `${name}_temp_path ${folder}/${name};`),
    text,
    '}',
  ];
  writeFileSync(file, configuration.join('\n'));
  return start(path, ['-c', file, '-p', folder, '-e', 'stderr'], written);
}

/** Starts one Caddy with all sites. */
export async function startCaddySites<Name extends string>(
  path: string,
  blocks: Readonly<Record<Name, Block>>,
): Promise<Sites<Name>> {
  const written = await write(blocks);
  const { folder, text } = written;
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'Caddyfile');
  writeFileSync(file, `{\n\tadmin off\n\tauto_https off\n\tskip_install_trust\n}\n${text}\n`);
  return start(path, ['run', '--config', file, '--adapter', 'caddyfile'], written);
}
