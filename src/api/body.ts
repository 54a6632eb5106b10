import { isUtf8 } from 'node:buffer';
import * as v from 'valibot';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { withDeadline } from './deadline.ts';
import { findJsonError } from './json-error.ts';
import { problem } from './problem.ts';
import type { AnyRoute } from './route.ts';

const MAX_BODY_BYTES = 64 * 1024;

// Time for a client to send a whole body. The transports have shorter limits of their own; a
// program's server, which Pumphouse is attached to, has another.
const BODY_MS = 30_000;

const JSON_TYPE = /^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;

type Body =
  | { readonly kind: 'body'; readonly body: unknown }
  | { readonly kind: 'rejected'; readonly problem: HttpResponse };

/** Reads the JSON body of a request by the schema of its route. Reads the request at once. */
export async function readBody(request: HttpRequest, route: AnyRoute): Promise<Body> {
  const { body: schema, maxBodyBytes = MAX_BODY_BYTES } = route;
  const type = request.header('content-type');
  const read = await withDeadline(request.body(schema ? maxBodyBytes : 0), BODY_MS, 'late' as const).catch(
    () => 'cut' as const,
  );
  if (read === 'cut') return rejected(400, 'invalid-json', 'The body ended early.'); // nobody gets it
  if (read === 'late') return rejected(408, 'timeout', `The body did not arrive within ${BODY_MS / 1000} s.`, CLOSE);
  if (schema === undefined) {
    return read?.length === 0
      ? { kind: 'body', body: undefined }
      : rejected(400, 'invalid-json', 'The request takes no body.');
  }
  if (read === undefined) return rejected(413, 'too-large', `The body is longer than ${maxBodyBytes} bytes.`, CLOSE);
  if (read.length === 0 && schema.type === 'optional') return validate(schema, undefined);
  if (!JSON_TYPE.test(type)) {
    return rejected(415, 'unsupported-media-type', 'The Content-Type must be application/json, in UTF-8.');
  }
  if (!isUtf8(read)) return rejected(400, 'invalid-json', 'The body is not UTF-8.');
  return parse(schema, Buffer.from(read).toString());
}

const CLOSE = { extra: {}, headers: { Connection: 'close' } };

function rejected(
  status: number,
  type: Parameters<typeof problem>[1],
  detail: string,
  { extra = {}, headers = {} }: { readonly extra?: object; readonly headers?: Readonly<Record<string, string>> } = {},
): Body {
  return { kind: 'rejected', problem: problem(status, type, detail, extra, headers) };
}

function parse(schema: v.GenericSchema, text: string): Body {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const { position, expected } = findJsonError(text);
    const detail = `The body is not JSON: at position ${position}, ${expected} is expected.`;
    return rejected(400, 'invalid-json', detail, { extra: { position } });
  }
  return validate(schema, value);
}

function validate(schema: v.GenericSchema, value: unknown): Body {
  if (Array.isArray(value))
    return rejected(400, 'invalid-field', 'The body must be an object.', { extra: { field: '' } });
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return { kind: 'body', body: result.output };
  const [issue] = result.issues;
  const field = v.getDotPath(issue) ?? '';
  const named = field === '' ? 'The body' : `The field ${JSON.stringify(field)}`;
  const unknown = issue.type === 'strict_object' && issue.expected === 'never';
  return rejected(400, 'invalid-field', `${named} ${unknown ? 'is unknown' : messageOf(issue)}.`, { extra: { field } });
}

/** Fields have messages of their own, such as `must be a string`, but none for a missing field. */
function messageOf({ message, received }: v.BaseIssue<unknown>): string {
  return received === 'undefined' ? 'is missing' : message;
}
