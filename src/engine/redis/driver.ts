type Driver = typeof import('@redis/client');

let driver: Driver | undefined;

/** Loads the client of Redis: hundreds of files, which a server of another engine never needs. */
export async function loadDriver(): Promise<Driver> {
  driver ??= await import('@redis/client');
  return driver;
}

/** Whether an error is the reply of a server to a command. */
export function isErrorReply(error: unknown): error is Error {
  return driver !== undefined && error instanceof driver.ErrorReply;
}

/** Whether an error says that a server has not answered. */
export function isNoAnswer(error: unknown): boolean {
  if (driver === undefined) return false;
  return error instanceof driver.DisconnectsClientError || error instanceof driver.ConnectionTimeoutError;
}
