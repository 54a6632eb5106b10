import type { WebSocketClass } from '../types.ts';

/**
 * Loads the class of the package `ws`, for platforms without a WebSocket such as Node 20. The name
 * is a parameter, so that bundlers leave the package out of a page.
 *
 * @param onFailure called before the error is thrown.
 * @throws TypeError if the package is not installed.
 */
export async function loadWebSocket(onFailure: (why: string) => void, name = 'ws'): Promise<WebSocketClass> {
  try {
    return (await import(/* webpackIgnore: true */ /* @vite-ignore */ name)).default;
  } catch (cause) {
    const why = `this platform has no WebSocket: install ${name} (npm install ${name}), or pass a class to connect(url, { WebSocket })`;
    onFailure(why);
    throw new TypeError(why, { cause });
  }
}
