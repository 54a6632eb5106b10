// Lets the chat open without a network. Answers for the page and its own files only: every other
// request on this origin, such as /admin, /metrics and /api, goes to the network untouched.
//
// The build replaces the two constants. The names of the files contain a hash of their content.
const VERSION = '__VERSION__';
const FILES = ['__FILES__'];

const PREFIX = 'pumphouse-chat ';
const CACHE = PREFIX + VERSION;
const SCOPE = new URL(self.registration.scope);
const PAGE = SCOPE.href;
const ASSETS = new URL('assets/', SCOPE).pathname;
const SIGN_IN = new URL('sign-in.json', SCOPE).pathname;
/** What only the chat's page contains. An operator may serve another page here later. */
const MARK = 'name="application-name" content="Pumphouse chat"';
/** How long the network may take until the stored page is shown, in milliseconds. */
const PATIENCE_MS = 4_000;

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll([PAGE, ...FILES])));
});

self.addEventListener('activate', (event) => {
  const removeOld = async () => {
    const names = await caches.keys();
    await Promise.all(
      names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)),
    );
    await self.clients.claim();
  };
  event.waitUntil(removeOld());
});

self.addEventListener('message', ({ data, ports }) => {
  if (data === 'activate') self.skipWaiting();
  // Whether a page whose script has this address is of this version.
  else if (data?.script) ports[0].postMessage(FILES.some((file) => new URL(file, SCOPE).href === data.script));
  // Files that the page loaded before this worker controlled it.
  else if (Array.isArray(data?.loaded)) void keepAll(data.loaded);
});

self.addEventListener('notificationclick', (event) => {
  const { notification } = event;
  notification.close();
  event.waitUntil(open(notification.data.hash));
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== SCOPE.origin) return;
  if (request.mode === 'navigate') {
    if (pathname === SCOPE.pathname) event.respondWith(page(request));
  } else if (pathname.startsWith(ASSETS)) event.respondWith(asset(request));
  else if (pathname === SIGN_IN) event.respondWith(fresh(request));
});

/** Shows the message of a notification in the window that was used last, else in a new one. */
async function open(hash) {
  const windows = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const chat = windows.find(({ url }) => new URL(url).pathname === SCOPE.pathname);
  if (!chat) return self.clients.openWindow(PAGE + hash);
  chat.postMessage({ open: hash });
  return chat.focus();
}

/** Returns the page of the network, so that a new version is taken at once; else the stored one. */
async function page(request) {
  const stored = await caches.match(PAGE, { cacheName: CACHE });
  const network = fetch(request).then((response) => {
    if (response.ok) void leaveUnlessChat(response.clone());
    return response;
  });
  if (!stored) return network;
  const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, stored));
  return Promise.race([network.catch(() => stored), patience]);
}

/** Removes this worker and its files if another page has taken the chat's place. */
async function leaveUnlessChat(response) {
  const text = await response.text();
  if (text.includes(MARK)) return;
  await self.registration.unregister();
  for (const name of await caches.keys()) if (name.startsWith(PREFIX)) await caches.delete(name);
}

/** Returns a file of the chat. A name never gets another content, so the stored file is current. */
async function asset(request) {
  const stored = await caches.match(request, { cacheName: CACHE });
  if (stored) return stored;
  const response = await fetch(request);
  if (response.ok) void (await caches.open(CACHE)).put(request, response.clone());
  return response;
}

async function fresh(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) void cache.put(request, response.clone());
    return response;
  } catch (error) {
    const stored = await cache.match(request);
    if (stored) return stored;
    throw error;
  }
}

async function keepAll(urls) {
  const cache = await caches.open(CACHE);
  for (const url of urls) {
    const { origin, pathname } = new URL(url);
    if (origin !== SCOPE.origin || !(pathname.startsWith(ASSETS) || pathname === SIGN_IN)) continue;
    if (!(await cache.match(url))) await cache.add(url).catch(() => undefined);
  }
}
