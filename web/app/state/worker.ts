/**
 * Registers the service worker, which lets the page open without a network. A browser has none over
 * plain HTTP, except on localhost.
 */
export async function registerWorker(): Promise<void> {
  if (!navigator.serviceWorker || !import.meta.env.PROD) return;
  try {
    const { register } = await import('./worker-registration.ts');
    await register(navigator.serviceWorker);
  } catch {
    // The browser does not allow it: the page needs the network.
  }
}
