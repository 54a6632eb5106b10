import { readFileSync } from 'node:fs';
import type { HttpResponse } from '../transport/transport.ts';

/** The description of the API. The path is the same from `src` and from `dist`. */
const DOCUMENT = new URL('../../docs/openapi.json', import.meta.url);

let document: Buffer | undefined;

/** Returns the description of the API in OpenAPI 3.1. */
export function openapi(): HttpResponse {
  document ??= readFileSync(DOCUMENT);
  // Pages that show such documents are on other origins.
  const headers = {
    'content-type': 'application/json',
    'access-control-allow-origin': '*',
    'cache-control': 'no-cache',
  };
  return { status: 200, headers, body: document };
}
