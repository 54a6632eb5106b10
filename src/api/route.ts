import type { GenericSchema, InferOutput } from 'valibot';
import type { ApiKey, Scope } from '../auth/keys.ts';
import type { HttpResponse } from '../transport/transport.ts';
import type { ProblemType } from './problem.ts';

export type { ApiKey, Scope };

/** A request to the API whose key, path, query and body have been checked. */
export interface ApiCall<Body = unknown, Query = unknown> {
  readonly key: ApiKey;
  /** Decoded path parameters by name. The key allows the `room` among them. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The query as its schema returns it; undefined without a schema. */
  readonly filter: Query;
  /** The parsed and validated JSON body; undefined without a schema. */
  readonly body: Body;
  /** The client's address. */
  readonly address: string;
}

/** The text of a route in `docs/openapi.json`. */
export interface RouteDoc {
  /** Name of the operation, unique among the routes, such as `publish`. */
  readonly id: string;
  readonly summary: string;
  readonly description: string;
  /** The response of success. @default status 200 */
  readonly success: { readonly status?: 200 | 204; readonly description: string; readonly schema?: GenericSchema };
  /** The problems of this route's own, by status, beside those of the router. */
  readonly problems?: readonly (readonly [status: number, type: ProblemType, description: string])[];
}

/** One method of one path of the API. */
export interface ApiRoute<Body extends GenericSchema, Query extends GenericSchema> {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Relative to `/api/v1`, such as `/rooms/{room}`. */
  readonly path: string;
  readonly scope: Scope;
  /** Schema of the body, strict: unknown fields are rejected. @default the route has no body */
  readonly body?: Body;
  /** Schema of the query: a strict object of strings. @default the route has no parameters */
  readonly parameters?: Query;
  /** @default 64 KiB */
  readonly maxBodyBytes?: number;
  readonly doc: RouteDoc;
  /** Answers a call. Rejects only by a defect, which is answered with 503. */
  handle(call: ApiCall<InferOutput<Body>, InferOutput<Query>>): Promise<HttpResponse>;
}

/** A route whose schemas a list of routes does not know. */
export type AnyRoute = ApiRoute<GenericSchema, GenericSchema>;

/** Returns the route, so that its handler's types follow from its schemas. */
export function route<Body extends GenericSchema, Query extends GenericSchema>(
  declared: ApiRoute<Body, Query>,
): AnyRoute {
  return declared as unknown as AnyRoute;
}
