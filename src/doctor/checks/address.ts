import { advise, chainAdvice, forwardedAdvice, trustAdvice } from '../advice.ts';
import { type Check, fail, pass, skipped, warn } from '../check.ts';
import { isLocal, isLoopback } from '../private-address.ts';

/** The server sees the address of its client, not that of a proxy. */
export const address: Check = {
  name: 'address',
  needs: ['http'],
  async run(walk) {
    const { report, proxy } = walk;
    if (report === undefined) return skipped('the server does not report it');
    const { address: seen, trustedProxy, forwarded, local, remote } = report;
    const measured = { ...report };
    const sees = `the server sees ${seen}`;
    // The doctor sends no X-Forwarded-For: a proxy has added it.
    if (forwarded && !trustedProxy) return fail(`${sees}, the proxy`, trustAdvice(seen, forwarded), measured);
    if (trustedProxy && !forwarded) return fail(`${sees}, the proxy`, forwardedAdvice, measured);
    // From elsewhere, a private address is that of something in between.
    const isElsewhere = !isLocal(remote) && seen !== local;
    if (trustedProxy) {
      return isLocal(seen) && isElsewhere
        ? fail(`${sees}, another proxy`, chainAdvice(seen), measured)
        : pass(`${sees}, forwarded by a trusted proxy`, measured);
    }
    if (seen === local) {
      if (proxy.kind !== 'nginx' && proxy.kind !== 'caddy') return pass(`${sees}, this machine`, measured);
      // Both ends are here, so the proxy has the same address as its client.
      return fail(`${sees}, the proxy`, trustAdvice(seen, forwarded), measured);
    }
    if (isLocal(seen) && isElsewhere) return fail(`${sees}, a proxy`, trustAdvice(seen, forwarded), measured);
    if (isLoopback(seen) !== isLoopback(local)) {
      const text = `This machine connects from ${local}: a proxy or a translation of addresses is in between.`;
      return warn(sees, { ...trustAdvice(seen, forwarded), text }, measured);
    }
    if (proxy.kind === 'nginx' || proxy.kind === 'caddy') {
      const text = `${seen} must be this machine's public address. If it is that of the proxy, all clients share its limits.`;
      return warn(sees, { ...trustAdvice(seen, forwarded), text }, measured);
    }
    return isLocal(seen) && !isLocal(local)
      ? warn(sees, advise(`This machine connects from ${local}.`), measured)
      : pass(sees, measured);
  },
};
