import type { HubError } from './types.ts';

/** Makes the error that a promise rejects with or an `error` event tells. */
export function hubError(code: HubError['code'], message: string, room?: string): HubError {
  return Object.assign(new Error(message), { name: 'HubError', code, room });
}
