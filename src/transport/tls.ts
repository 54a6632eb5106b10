import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

/** Paths of PEM files. */
export interface TlsFiles {
  /** The certificate, followed by its chain. */
  readonly cert: string;
  /** The private key. */
  readonly key: string;
}

/** Reads the files and checks that they fit together. @throws Error with a one-line message. */
export function readTls({ cert, key }: TlsFiles): { readonly cert: string; readonly key: string } {
  const contents = { cert: readPem(cert), key: readPem(key) };
  try {
    createSecureContext(contents);
  } catch (error) {
    throw new Error(`the certificate ${cert} and the key ${key} cannot be used: ${(error as Error).message}`);
  }
  return contents;
}

function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
