import { STATUS_CODES } from 'node:http';

// Pages show the text of this status. Go keeps its older name.
const TOO_LARGE = { status: 413, text: 'Request Entity Too Large' };

/** Returns the text of a status line, as Go's `http.StatusText` does. */
export function statusText(status: number): string {
  return status === TOO_LARGE.status ? TOO_LARGE.text : (STATUS_CODES[status] ?? '');
}
