import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCluster } from './cluster.ts';
import { type Contestant, type RunningServer, type ServerNode, serverOf } from './contestant.ts';
import type { LoadSettings } from './load-options.ts';
import type { Scenario } from './scenarios.ts';
import { type Server, startServer } from './server.ts';
import type { WireName } from './wires/index.ts';

const FOLDER_PREFIX = 'pumphouse-bench-';

/** Pumphouse without a publish rate limit. Its folders are temporary. */
export function pumphouse(name = 'pumphouse', transport = 'auto', wire?: WireName): Contestant {
  return {
    name,
    wire,
    topology: 'any',
    start: (scenario, load) => start(transport, scenario, load),
  };
}

function start(transport: string, scenario: Scenario | undefined, load: LoadSettings): Promise<RunningServer> {
  if (load.nodes === 1) return startAlone(transport, scenario, load);
  return startCluster(load, (redisUrl) => startNode(transport, scenario, load, redisUrl));
}

async function startAlone(
  transport: string,
  scenario: Scenario | undefined,
  load: LoadSettings,
): Promise<RunningServer> {
  const folder = mkdtempSync(join(tmpdir(), FOLDER_PREFIX));
  const flags = [
    ...flagsOf(transport, scenario, load, folder),
    '--data',
    join(folder, 'data'),
    ...(scenario?.flags ?? []),
  ];
  const cpus = load.pinning?.server;
  const { server, node } = await startIn(folder, flags, cpus);
  if (!scenario?.restart) return serverOf(node);
  let current = server;
  const restart = async () => {
    await current.kill('SIGKILL');
    current = await startServer(flags, server.port, undefined, cpus);
    return current.pid;
  };
  const stop = async () => {
    await current.kill('SIGKILL');
    await node.stop();
  };
  return { ...serverOf(node), restart, stop };
}

/** Starts one of several nodes, which keep their messages in Redis. */
async function startNode(
  transport: string,
  scenario: Scenario | undefined,
  load: LoadSettings,
  redisUrl: string,
): Promise<ServerNode> {
  const folder = mkdtempSync(join(tmpdir(), FOLDER_PREFIX));
  const flags = [...flagsOf(transport, scenario, load, folder), ...(scenario?.flags ?? [])];
  return (await startIn(folder, [...flags, '--engine', 'redis', '--redis', redisUrl], load.pinning?.server)).node;
}

/** @returns the flags of every node. Its config file is in the folder. */
function flagsOf(
  transport: string,
  scenario: Scenario | undefined,
  { workers }: LoadSettings,
  folder: string,
): string[] {
  const config = join(folder, 'config.json');
  writeFileSync(config, JSON.stringify({ rooms: scenario?.rooms ?? {} }));
  const limits = ['--publish-rate', 'off', '--max-handshakes', 'off'];
  const threads = workers > 1 ? ['--workers', String(workers)] : [];
  return [...limits, ...threads, '--transport', transport, '--log-level', 'error', '--config', config];
}

/** Starts a process whose folder is removed when it stops, or if it does not start. */
async function startIn(
  folder: string,
  flags: readonly string[],
  cpus?: readonly number[],
): Promise<{ readonly server: Server; readonly node: ServerNode }> {
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const server = await startServer(flags, undefined, undefined, cpus);
    const stop = async () => {
      await server.kill('SIGKILL');
      remove();
    };
    return { server, node: { url: new URL(server.url), pid: server.pid, stop } };
  } catch (error) {
    remove();
    throw error;
  }
}
