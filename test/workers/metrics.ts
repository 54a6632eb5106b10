/** Returns the samples of a metric of a server, by their worker. */
export async function samplesByWorker(url: string, metric: string): Promise<ReadonlyMap<string, number>> {
  const page = await (await fetch(`${url}/metrics`)).text();
  const samples = page.matchAll(new RegExp(`^${metric}\\{worker="(\\w+)"\\} (\\d+)$`, 'gm'));
  return new Map(Array.from(samples, ([, worker, count]) => [worker as string, Number(count)]));
}
