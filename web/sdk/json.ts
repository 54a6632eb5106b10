/**
 * Encodes the data of a message or signal.
 *
 * @throws TypeError if it cannot be encoded.
 */
export function encodeData(data: unknown, of: 'message' | 'signal'): string {
  let problem: string = typeof data;
  try {
    const json = JSON.stringify(data);
    if (json) return json;
  } catch (cause) {
    problem = `${cause}`;
  }
  throw new TypeError(`the data of a ${of} cannot be encoded as JSON: ${problem}`);
}

/** Returns the length of a text in bytes of UTF-8. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Returns a message whose data is JSON text. */
export function withData(message: object, json: string): string {
  return `${JSON.stringify(message).slice(0, -1)},"data":${json}}`;
}
