// A generator in a process of its own: it does what it is told over the channel to its parent, and ends with it.
import type { LoadOptions } from '../load-options.ts';
import { Generator } from './generator.ts';
import type { Answer, Call } from './remote.ts';

const [options = '', share = ''] = process.argv.slice(2);
const generator = new Generator(JSON.parse(options) as LoadOptions, Number(share));

process.on('message', async ({ id, method, args }: Call) => {
  const answer = await answerTo(method, args).catch((error: Error) => ({ error: error.message }));
  if (process.connected) process.send?.({ id, ...answer } satisfies Answer);
});
process.on('disconnect', () => process.exit());

async function answerTo(method: Call['method'], args: Call['args']): Promise<Omit<Answer, 'id'>> {
  const call = generator[method] as (...args: unknown[]) => unknown;
  return { result: await call.apply(generator, [...args]) };
}
