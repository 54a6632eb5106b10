/** The package alias to load, or why no release of uWebSockets.js fits this machine. */
type UwsRelease =
  | { readonly kind: 'available'; readonly alias: string }
  | { readonly kind: 'unavailable'; readonly reason: string };

// The modern release has binaries for glibc 2.38 and later, the other one for 2.27 and later.
const MODERN = { alias: 'uWebSockets.js-modern', majors: [22, 24, 26], glibcMinor: 38 };
const OLDER = { alias: 'uWebSockets.js', majors: [20, 22], glibcMinor: 27 };

/**
 * Selects one of the two releases that are installed under aliases. It compares versions instead of
 * trying to load each: the newer JavaScript loads over the older binary without an error.
 *
 * @param platform Node's `process.platform`.
 * @param major Node's major version.
 * @param glibc the version of glibc; undefined for another C library.
 */
export function selectRelease(
  platform: string,
  major: number,
  glibc: readonly [major: number, minor: number] | undefined,
): UwsRelease {
  const linux = platform === 'linux';
  if (linux && !glibc) return { kind: 'unavailable', reason: 'it requires glibc' };
  for (const { alias, majors, glibcMinor } of [MODERN, OLDER]) {
    const linksHere = !linux || (glibc !== undefined && (glibc[0] > 2 || glibc[1] >= glibcMinor));
    if (majors.includes(major) && linksHere) return { kind: 'available', alias };
  }
  const libc = glibc ? ` with glibc ${glibc.join('.')}` : '';
  return { kind: 'unavailable', reason: `it has no binary for Node ${major}${libc}` };
}

/** Returns the version of glibc; undefined for another C library. */
export function glibcVersion(): [major: number, minor: number] | undefined {
  // By default, a report looks up the host name of every network interface.
  (process.report as { excludeNetwork?: boolean }).excludeNetwork = true;
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  const [major, minor] = header.glibcVersionRuntime?.split('.').map(Number) ?? [];
  return major === undefined || minor === undefined ? undefined : [major, minor];
}
