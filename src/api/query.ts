import * as v from 'valibot';
import type { HttpResponse } from '../transport/transport.ts';
import { problem } from './problem.ts';
import type { AnyRoute } from './route.ts';

type Query =
  | { readonly kind: 'query'; readonly query: URLSearchParams; readonly filter: unknown }
  | { readonly kind: 'rejected'; readonly problem: HttpResponse };

/** Reads the query of a request by the schema of its route. */
export function readQuery(text: string, { parameters }: AnyRoute): Query {
  const query = new URLSearchParams(text);
  const repeated = [...query.keys()].find((name) => query.getAll(name).length > 1);
  if (repeated !== undefined) return rejected(repeated, 'occurs twice');
  if (parameters === undefined) {
    const [name] = query.keys();
    return name === undefined ? { kind: 'query', query, filter: undefined } : rejected(name, 'is unknown');
  }
  const result = v.safeParse(parameters, Object.fromEntries(query), { abortEarly: true });
  if (result.success) return { kind: 'query', query, filter: result.output };
  const [issue] = result.issues;
  const name = v.getDotPath(issue) ?? '';
  return rejected(name, issue.expected === 'never' ? 'is unknown' : issue.message);
}

function rejected(parameter: string, why: string): Query {
  const detail = `The parameter ${JSON.stringify(parameter)} ${why}.`;
  return { kind: 'rejected', problem: problem(400, 'invalid-query', detail, { parameter }) };
}
