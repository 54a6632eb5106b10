import { takeUpdate } from './page-update.ts';

/** How often an open page looks for a new version, in milliseconds. */
const CHECK_MS = 60 * 60_000;

/** Registers the service worker, and offers its new versions. @throws what the browser does. */
export async function register(serviceWorker: ServiceWorkerContainer): Promise<void> {
  // A click on a notification opens its message.
  serviceWorker.addEventListener('message', ({ data }) => {
    if (data?.open) location.hash = data.open;
  });
  // The first worker takes control of a page that is of its version.
  let isFirst = serviceWorker.controller === null;
  const registration = await serviceWorker.register('sw.js', { updateViaCache: 'none' });
  const offer = async () => {
    const { waiting } = registration;
    if (!waiting || isFirst) return;
    // The network has served the new version of the page already: only its worker is missing.
    if (await isOfThisVersion(waiting)) waiting.postMessage('activate');
    else takeUpdate.value = () => waiting.postMessage('activate');
  };
  serviceWorker.addEventListener('controllerchange', async () => {
    const { controller } = serviceWorker;
    const wasFirst = isFirst;
    isFirst = false;
    if (wasFirst || !controller || (await isOfThisVersion(controller))) return;
    // Reloads the tab that took the new version. Other tabs may hold a draft: they offer it.
    if (takeUpdate.value) location.reload();
    else takeUpdate.value = () => location.reload();
  });
  registration.addEventListener('updatefound', () => {
    registration.installing?.addEventListener('statechange', () => void offer());
  });
  await offer();
  setInterval(() => void registration.update().catch(() => undefined), CHECK_MS);
  const { active } = await serviceWorker.ready;
  const loaded = performance.getEntriesByType('resource').map(({ name }) => name);
  active?.postMessage({ loaded });
}

/** Whether a worker has the script of this page among its files. */
function isOfThisVersion(worker: ServiceWorker): Promise<boolean> {
  const { port1, port2 } = new MessageChannel();
  const script = document.querySelector<HTMLScriptElement>('script[type="module"]')?.src;
  worker.postMessage({ script }, [port2]);
  return new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data === true);
  });
}
