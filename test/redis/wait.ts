/**
 * Waits until a condition holds. A rejection counts as false.
 *
 * @param ms milliseconds before it gives up. @default 10,000 @throws Error that names the
 * condition.
 */
export async function waitUntil(
  condition: string,
  holds: () => boolean | Promise<boolean>,
  ms = 10_000,
): Promise<void> {
  const end = Date.now() + ms;
  while (!(await Promise.resolve(holds()).catch(() => false))) {
    if (Date.now() > end) throw new Error(`timed out after ${ms} ms waiting until ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
