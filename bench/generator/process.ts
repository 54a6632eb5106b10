// Runs a generator in its own process. It executes the calls of its parent and exits with it.
import type { LoadOptions } from '../load-options.ts';
import { Generator } from './generator.ts';
import type { Answer, Call } from './remote.ts';

const [options = '', share = ''] = process.argv.slice(2);
const generator = new Generator(JSON.parse(options) as LoadOptions, Number(share));

process.on('message', async ({ id, method, args }: Call) => {
  const answer = await execute(method, args).catch((error: Error) => ({ error: error.message }));
  if (process.connected) process.send?.({ id, ...answer } satisfies Answer);
});
process.on('disconnect', () => process.exit());

async function execute(method: Call['method'], args: Call['args']): Promise<Omit<Answer, 'id'>> {
  const call = generator[method] as (...args: unknown[]) => unknown;
  return { result: await call.apply(generator, [...args]) };
}
