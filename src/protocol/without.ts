/**
 * Returns `names` without `others`, each removed as often as it occurs there: two members may share
 * a name.
 */
export function without(names: readonly string[], others: readonly string[]): readonly string[] {
  if (others.length === 0) return names;
  const remaining = new Map<string, number>();
  for (const name of others) remaining.set(name, (remaining.get(name) ?? 0) + 1);
  return names.filter((name) => {
    const times = remaining.get(name) ?? 0;
    if (times > 0) remaining.set(name, times - 1);
    return times === 0;
  });
}
