import type { Settings } from './settings.ts';

/** What runs the server: Node's version and the operating system, as `process` has them. */
export interface Runtime {
  readonly node: string;
  readonly platform: NodeJS.Platform;
}

export const thisRuntime: Runtime = { node: process.versions.node, platform: process.platform };

// These accept a port that several sockets share, but pass all connections to one of them.
const UNBALANCED: Partial<Record<NodeJS.Platform, string>> = { darwin: 'macOS', win32: 'Windows' };

/**
 * Returns why several threads cannot share a port with a transport, as the end of a line;
 * undefined if they can. The kernel then spreads the connections over them (SO_REUSEPORT).
 */
export function sharedPortProblem(
  transport: Exclude<Settings['transport'], 'auto'>,
  { node, platform }: Runtime = thisRuntime,
): string | undefined {
  const system = UNBALANCED[platform];
  if (system !== undefined) return `${system} passes all connections of a port to one worker; use --workers 1`;
  if (transport === 'uws' || canReusePort(node)) return undefined;
  return `the transport ws shares a port since Node 22.12, and this is Node ${node}; use --workers 1, or uws`;
}

/** The option `reusePort` of `server.listen` came with Node 23.1 and 22.12. */
function canReusePort(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}
