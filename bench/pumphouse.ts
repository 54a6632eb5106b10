import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Contestant, RunningServer } from './contestant.ts';
import type { Scenario } from './scenarios.ts';
import { startServer } from './server.ts';
import type { WireName } from './wires/index.ts';

/** Pumphouse without a publish rate limit. Its data folder is temporary. */
export function pumphouse(name = 'pumphouse', transport = 'auto', wire?: WireName): Contestant {
  return { name, wire, start: (scenario) => start(transport, scenario) };
}

async function start(transport: string, scenario: Scenario | undefined): Promise<RunningServer> {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-bench-'));
  const config = join(folder, 'config.json');
  writeFileSync(config, JSON.stringify({ rooms: scenario?.rooms ?? {} }));
  const flags = ['--publish-rate', 'off', '--max-handshakes', 'off', '--transport', transport, '--log-level', 'error'];
  flags.push('--config', config, '--data', join(folder, 'data'), ...(scenario?.flags ?? []));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    let server = await startServer(flags);
    const restart = async () => {
      await server.kill('SIGKILL');
      server = await startServer(flags, server.port);
      return server.pid;
    };
    return {
      url: new URL(server.url),
      pid: server.pid,
      ...(scenario?.restart ? { restart } : {}),
      async stop() {
        await server.kill('SIGKILL');
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}
