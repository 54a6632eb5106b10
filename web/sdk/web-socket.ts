import type { WebSocketClass } from './types.ts';

/**
 * Loads the class of the package `ws`, for platforms without a WebSocket such as Node 20. The name
 * is a parameter, so that bundlers leave the package out of a page.
 *
 * @throws TypeError if the package is not installed.
 */
export async function loadWebSocket(name = 'ws'): Promise<WebSocketClass> {
  try {
    return (await import(/* webpackIgnore: true */ /* @vite-ignore */ name)).default;
  } catch (cause) {
    throw new TypeError(
      `this platform has no WebSocket: install ${name} (npm install ${name}), or pass a class to connect(url, { WebSocket })`,
      { cause },
    );
  }
}
