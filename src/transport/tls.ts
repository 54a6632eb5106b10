import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

/** Files in PEM: the certificate with its chain, and its key. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** Reads the files and tries them together. @throws Error with one clear line when they cannot be used. */
export function readTls({ cert, key }: TlsFiles): { readonly cert: string; readonly key: string } {
  const read = { cert: readPem(cert), key: readPem(key) };
  try {
    createSecureContext(read);
  } catch (error) {
    throw new Error(`the certificate ${cert} and the key ${key} cannot be used: ${(error as Error).message}`);
  }
  return read;
}

function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
