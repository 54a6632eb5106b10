/** Returns the samples of a canary's metrics, by the end of their names. */
export async function canarySamples(url: string): Promise<Record<string, number>> {
  const page = await (await fetch(`${url}/metrics`)).text();
  return Object.fromEntries(
    [...page.matchAll(/^pumphouse_canary_(\S+) (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]),
  );
}

/** The samples of faults, each of which is 0 in a server without any. */
export const FAULTLESS = {
  gaps_total: 0,
  repeats_total: 0,
  swaps_total: 0,
  lost_acks_total: 0,
  reconnects_total: 0,
};
