/**
 * Encodes the data of a message or signal.
 *
 * @throws TypeError if it cannot be encoded.
 */
export function encodeData(data: unknown, of: 'message' | 'signal'): string {
  let json: string | undefined;
  let problem: string = typeof data;
  try {
    json = JSON.stringify(data);
  } catch (cause) {
    problem = `${cause}`;
  }
  if (json === undefined) throw new TypeError(`the data of a ${of} cannot be encoded as JSON: ${problem}`);
  return json;
}
