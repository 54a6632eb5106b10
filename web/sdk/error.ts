import type { ErrorMessage } from '../../src/protocol/v1.ts';
import type { HubError } from './types.ts';

/** An error message of the server, or a failure of the client's own. */
type Failure = Pick<ErrorMessage, 'message' | 'room' | 'field'> & Pick<HubError, 'code'>;

/** Creates the error of a rejected promise or of an `error` event. */
export function hubError({ message, code, room, field }: Failure): HubError {
  return Object.assign(new Error(message), { name: 'HubError', code, room, field });
}
