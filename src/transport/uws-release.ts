/** The package alias whose binary fits this Node and this C library, or why none does. */
type UwsChoice = { readonly alias: string } | { readonly unavailable: string };

/**
 * Chooses between the two releases that are installed under aliases. The newer JavaScript would load over the older binary
 * without complaint, so the choice goes by versions, not by trying.
 *
 * @param major Node's major version. @param glibc the C library's version as two numbers; undefined where it is another.
 */
export function chooseUws(platform: string, major: number, glibc: readonly [number, number] | undefined): UwsChoice {
  const linux = platform === 'linux';
  if (linux && !glibc) return { unavailable: 'it needs glibc' };
  const has = (minor: number) => !linux || (glibc !== undefined && (glibc[0] > 2 || glibc[1] >= minor));
  if ([22, 24, 26].includes(major) && has(38)) return { alias: 'uWebSockets.js-modern' };
  if ([20, 22].includes(major) && has(27)) return { alias: 'uWebSockets.js' };
  const here = glibc ? ` with glibc ${glibc.join('.')}` : '';
  return { unavailable: `there is no binary for Node ${major}${here}` };
}

/** The C library's version; undefined where it is another than glibc. */
export function glibcVersion(): [number, number] | undefined {
  // Without this a report looks up the host name of every network interface.
  (process.report as { excludeNetwork?: boolean }).excludeNetwork = true;
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  const [major, minor] = header.glibcVersionRuntime?.split('.').map(Number) ?? [];
  return major === undefined || minor === undefined ? undefined : [major, minor];
}
