import type { HubError } from './types.ts';

/** Creates the error of a rejected promise or of an `error` event. */
export function hubError(code: HubError['code'], message: string, room?: string): HubError {
  return Object.assign(new Error(message), { name: 'HubError', code, room });
}
