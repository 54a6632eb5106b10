import { closes } from '../../protocol/close-codes.ts';
import { closeCodeAdvice } from '../advice.ts';
import { type Check, fail, pass } from '../check.ts';
import { LATE } from '../scope.ts';
import { openSession } from '../session.ts';
import { failedOpening } from './failed-opening.ts';

/** A close code of the server arrives as it was sent. */
export const closeCodes: Check = {
  name: 'close-codes',
  needs: ['session'],
  async run(walk, scope) {
    const opening = await openSession(walk, scope);
    if (opening.kind !== 'welcome') return failedOpening(opening);
    const { connection } = opening;
    connection.sendBinary();
    const closed = await connection.until(() => connection.closed);
    const { code: sent, reason: why } = closes.unsupported;
    if (closed === LATE) return fail(`no close frame arrives for a binary frame`, closeCodeAdvice, { sent });
    const { code, reason } = closed;
    if (code !== sent) return fail(`${sent} arrives as ${code}`, closeCodeAdvice, { sent, received: code });
    if (reason !== why) return fail(`${sent} arrives with another reason`, closeCodeAdvice, { sent, received: code });
    return pass(`${sent} arrives as sent`, { sent, received: code });
  },
};
