import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import { addressAdvice, advise } from '../advice.ts';
import { type Check, fail, pass, warn } from '../check.ts';
import { errorText, millis } from '../exchange.ts';
import { LATE, type Scope } from '../scope.ts';
import type { Walk } from '../walk.ts';

/** Resolves the name of the target. */
export const dns: Check = {
  name: 'dns',
  needs: [],
  async run(walk, scope) {
    const { hostname } = walk.target;
    const started = performance.now();
    const resolve = walk.options.resolve ?? ((name: string) => lookup(name, { all: true }));
    const resolved = await scope.wait(resolve(hostname)).catch((error: unknown) => errorText(error));
    if (resolved === LATE) {
      return fail(`${hostname} is not resolved in time`, advise('The name server does not answer.'));
    }
    if (typeof resolved === 'string') {
      return fail(resolved, advise(`Add records A and AAAA for ${hostname}, with the addresses of the proxy.`));
    }
    const ms = performance.now() - started;
    walk.addresses = resolved;
    const addresses = resolved.map(({ address }) => address);
    return pass(`${addresses.join(', ')} in ${millis(ms)}`, { addresses, ms });
  },
};

interface Attempt {
  readonly address: string;
  readonly family: number;
  readonly ms: number;
  /** @default it accepts connections */
  readonly error?: string;
}

/** Connects to each address of the name. */
export const tcp: Check = {
  name: 'tcp',
  needs: ['dns'],
  async run(walk, scope) {
    const { port, secure } = walk.target;
    const attempts = await Promise.all(walk.addresses.map((each) => attempt(each, walk, scope)));
    const alive = attempts.filter(({ error }) => error === undefined);
    walk.reachable = walk.addresses.find(({ address }) => alive.some((each) => each.address === address));
    const measured = { port, addresses: attempts };
    const failures = attempts.filter(({ error }) => error !== undefined);
    const detail = failures.map(({ address, error }) => `${address}: ${error}`).join('; ');
    if (alive.length === 0) {
      const text = `Let the proxy listen at port ${port}, and the firewall let it pass.`;
      return fail(detail, { text, ...listenAdvice(port, secure) }, measured);
    }
    if (!failures.every(isOutOfReach)) return warn(detail, addressAdvice(port, secure), measured);
    const connected = `${alive.map(({ address, ms }) => `${address} in ${millis(ms)}`).join(', ')}, port ${port}`;
    const ignored = failures.map(({ address }) => `; ${address} is out of reach of this machine`).join('');
    return pass(connected + ignored, measured);
  },
};

/** Reports whether this machine lacks the network of an address, such as IPv6. */
function isOutOfReach({ error }: Attempt): boolean {
  return error?.includes('ENETUNREACH') === true;
}

function listenAdvice(port: number, secure: boolean) {
  return {
    nginx: { add: [`listen ${port}${secure ? ' ssl' : ''};`, `listen [::]:${port}${secure ? ' ssl' : ''};`] },
    caddy: { add: [`:${port} {`, '  reverse_proxy 127.0.0.1:8080', '}'] },
  };
}

async function attempt(
  { address, family }: { readonly address: string; readonly family: number },
  { target: { port } }: Walk,
  scope: Scope,
): Promise<Attempt> {
  const started = performance.now();
  const socket = connect({ host: address, port });
  const connected = new Promise<string | undefined>((resolve) => {
    socket.once('connect', () => resolve(undefined)).once('error', (error) => resolve(errorText(error)));
  });
  const result = await scope.wait(connected);
  socket.destroy();
  const ms = performance.now() - started;
  if (result === undefined) return { address, family, ms };
  return { address, family, ms, error: result === LATE ? 'no answer in time' : result };
}
