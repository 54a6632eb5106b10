import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ConfigError } from '../config/error.ts';

const LOOPBACK = ['localhost', '127.0.0.1', '::1'];
const DAY = 24 * 60 * 60 * 1000;

interface Options {
  readonly host: readonly string[];
  readonly out: string;
  readonly days: string;
  readonly force?: true;
}

/** `pumphouse gen-cert`: creates a self-signed certificate for development. */
export function addGenCertCommand(program: Command): void {
  program
    .command('gen-cert')
    .description('Create a self-signed certificate for development.')
    .allowExcessArguments(false)
    .option('--host <HOST...>', 'host names and addresses of the certificate', LOOPBACK)
    .option('--out <DIR>', 'folder to write cert.pem and key.pem to', '.')
    .option('--days <N>', 'validity in days', '365')
    .option('--force', 'overwrite existing files')
    .action(generate);
}

async function generate({ host: hosts, out, days, force }: Options): Promise<void> {
  if (!/^[1-9]\d{0,3}$/.test(days)) throw new ConfigError(`--days: "${days}" is not a number of days (1 to 9999)`);
  const [cert, key] = [join(out, 'cert.pem'), join(out, 'key.pem')];
  const existing = [cert, key].find((file) => existsSync(file));
  if (existing !== undefined && !force) throw new ConfigError(`${existing} exists; overwrite it with --force`);
  const { generate: create } = await loadSelfsigned();
  const pair = await create([{ name: 'commonName', value: hosts[0] as string }], {
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
  writeFileSync(key, pair.private, { mode: 0o600 });
  writeFileSync(cert, pair.cert);
  console.log(`created ${cert} and ${key} for ${hosts.join(', ')}, valid for ${days} days`);
  console.log(`use them with: pumphouse serve --tls-cert ${cert} --tls-key ${key}`);
}

/** Loads the package that creates certificates. It is an optional peer dependency. */
async function loadSelfsigned() {
  try {
    return await import('selfsigned');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new ConfigError('gen-cert needs the package selfsigned: npm install selfsigned@5');
  }
}

function altName(host: string) {
  return isIP(host) > 0 ? ({ type: 7, ip: host } as const) : ({ type: 2, value: host } as const);
}
