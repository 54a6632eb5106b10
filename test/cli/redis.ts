import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../bench/server.ts';

/** A Redis server or sentinel on a free port, with its own folder. */
export class RedisProcess {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(port: number, folder: string, process: ChildProcess) {
    [this.port, this.#folder, this.#process] = [port, folder, process];
  }

  /** @param settings are lines of its configuration file. */
  static async start(settings: readonly string[] = [], program = 'redis-server'): Promise<RedisProcess> {
    const [port, folder] = [await freePort(), mkdtempSync(join(tmpdir(), 'pumphouse-redis-'))];
    const file = join(folder, 'redis.conf');
    writeFileSync(file, [`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, ...settings, ''].join('\n'));
    const child = spawn(program, [file], { stdio: ['ignore', 'pipe', 'ignore'] });
    let output = '';
    for await (const chunk of child.stdout) {
      output += chunk;
      if (/eady to accept connections|Sentinel ID/.test(output)) break;
    }
    return new RedisProcess(port, folder, child);
  }

  async stop(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
    rmSync(this.#folder, { recursive: true });
  }
}
