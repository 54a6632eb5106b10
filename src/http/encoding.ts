/** The encodings that a file may be stored in, best first, and the ending of such a file. */
export const ENDINGS = { br: '.br', gzip: '.gz', identity: '' } as const;

export type Encoding = keyof typeof ENDINGS;

const WEIGHT = /^q=(0(\.\d{0,3})?|1(\.0{0,3})?)$/;

/**
 * Selects an encoding by the request's Accept-Encoding (RFC 9110, 12.5.3): the one with the highest
 * weight, and the smallest of equals.
 *
 * @returns undefined when the client accepts none of them.
 */
export function selectEncoding(acceptEncoding: string, available: readonly Encoding[]): Encoding | undefined {
  const weights = parseWeights(acceptEncoding);
  const order = Object.keys(ENDINGS) as Encoding[];
  const weighted = order
    .filter((encoding) => available.includes(encoding))
    .map((encoding) => ({ encoding, weight: weightOf(encoding, weights) }))
    .filter(({ weight }) => weight > 0);
  return weighted.sort((a, b) => b.weight - a.weight)[0]?.encoding;
}

/** An `identity` without a weight is accepted, but comes after every encoding with a weight. */
function weightOf(encoding: Encoding, weights: ReadonlyMap<string, number>): number {
  return weights.get(encoding) ?? weights.get('*') ?? (encoding === 'identity' ? Number.MIN_VALUE : 0);
}

/** Ignores members that are not valid. */
function parseWeights(acceptEncoding: string): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const member of acceptEncoding.toLowerCase().split(',')) {
    const [name = '', weight = 'q=1', ...rest] = member.split(';').map((part) => part.trim());
    if (name === '' || rest.length > 0 || !WEIGHT.test(weight)) continue;
    weights.set(name === 'x-gzip' ? 'gzip' : name, Number(weight.slice('q='.length)));
  }
  return weights;
}
