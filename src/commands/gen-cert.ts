import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ConfigError } from '../config/error.ts';

const HERE = ['localhost', '127.0.0.1', '::1'];
const DAY = 24 * 60 * 60 * 1000;

interface Options {
  readonly host: readonly string[];
  readonly out: string;
  readonly days: string;
  readonly force?: true;
}

/** `pumphouse gen-cert`: makes a certificate for development, which browsers must be told to trust. */
export function addGenCertCommand(program: Command): void {
  program
    .command('gen-cert')
    .description('Make a certificate for development, signed by itself.')
    .allowExcessArguments(false)
    .option('--host <HOST...>', 'names and addresses that it is for', HERE)
    .option('--out <DIR>', 'folder for cert.pem and key.pem', '.')
    .option('--days <N>', 'how long it is good', '365')
    .option('--force', 'replace what is there')
    .action(generate);
}

async function generate({ host: hosts, out, days, force }: Options): Promise<void> {
  if (!/^[1-9]\d{0,3}$/.test(days)) throw new ConfigError(`--days: "${days}" is not a number of days (1 to 9999)`);
  const [cert, key] = [join(out, 'cert.pem'), join(out, 'key.pem')];
  const taken = [cert, key].find((file) => existsSync(file));
  if (taken !== undefined && !force) throw new ConfigError(`${taken} is there already; replace it with --force`);
  const { generate: create } = await import('selfsigned'); // many modules, for this alone
  const made = await create([{ name: 'commonName', value: hosts[0] as string }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + Number(days) * DAY),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: hosts.map(altName) },
    ],
  });
  mkdirSync(out, { recursive: true });
  writeFileSync(key, made.private, { mode: 0o600 });
  writeFileSync(cert, made.cert);
  console.log(`${cert} and ${key} are for ${hosts.join(', ')}, for ${days} days`);
  console.log(`pumphouse serve --tls-cert ${cert} --tls-key ${key}`);
}

function altName(host: string) {
  return isIP(host) > 0 ? ({ type: 7, ip: host } as const) : ({ type: 2, value: host } as const);
}
