import { checkServerIdentity, connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { type Advice, advise, certificateAdvice, renewalAdvice } from '../advice.ts';
import { type Check, fail, type Outcome, pass, warn } from '../check.ts';
import { errorText } from '../exchange.ts';
import { isLocal } from '../private-address.ts';
import { printable } from '../proxy.ts';
import { LATE, type Scope } from '../scope.ts';
import { serverNameOf } from '../target.ts';
import type { Walk } from '../walk.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const MIN_DAYS = 14;

/** Checks the certificate as a browser does, and how long it is valid. */
export const tls: Check = {
  name: 'tls',
  needs: ['tcp'],
  async run(walk, scope) {
    const { secure, hostname } = walk.target;
    if (!secure) return withoutTls(walk);
    const socket = await handshake(walk, scope);
    if (typeof socket === 'string') {
      const text = `Port ${walk.target.port} does not complete a TLS handshake: let the proxy serve TLS there.`;
      const nginx = { add: [`listen ${walk.target.port} ssl;`] };
      return fail(socket, { text, nginx, caddy: { add: [`${hostname} {`] } });
    }
    return inspect(socket, walk);
  },
};

function withoutTls({ reachable }: Walk): Outcome {
  if (isLocal(reachable?.address ?? '')) return pass('none: the URL has no TLS, on this machine or network');
  const text = 'Use an https:// or wss:// URL: pages of https:// cannot connect without TLS, and tokens can be read.';
  return warn('none: the URL has no TLS', advise(text));
}

/** Accepts any certificate, so that all of its defects are known. Nothing else is sent there. */
async function handshake(walk: Walk, scope: Scope): Promise<TLSSocket | string> {
  const { hostname, port } = walk.target;
  const servername = serverNameOf(walk.target);
  const socket = connect({
    host: hostname,
    port,
    lookup: walk.lookup,
    ALPNProtocols: ['h2', 'http/1.1'],
    rejectUnauthorized: false,
    ...(servername !== undefined && { servername }),
  });
  scope.defer(() => socket.destroy());
  const connected = new Promise<TLSSocket | string>((resolve) => {
    socket.once('secureConnect', () => resolve(socket));
    socket.on('error', (error) => resolve(errorText(error)));
  });
  const result = await scope.wait(connected);
  return result === LATE ? 'no TLS handshake in time' : result;
}

function inspect(socket: TLSSocket, { target: { hostname }, options: { insecure } }: Walk): Outcome {
  const certificate = socket.getPeerCertificate();
  const version = socket.getProtocol() ?? '';
  const alpn = socket.alpnProtocol || 'none';
  const days = Math.trunc((Date.parse(certificate.valid_to) - Date.now()) / DAY_MS);
  const measured = { version, alpn, days, validTo: certificate.valid_to, issuer: issuerOf(certificate) };
  const defect = defectOf(socket, certificate, hostname, days);
  if (defect !== undefined) {
    const { detail, advice } = defect;
    return insecure ? warn(`${version}, ${detail}`, advice, measured) : fail(`${version}, ${detail}`, advice, measured);
  }
  if (days < MIN_DAYS) return warn(`${version}, the certificate expires in ${days} days`, renewalAdvice, measured);
  return pass(`${version}, for ${hostname} by ${issuerOf(certificate)}, ${days} days left, ALPN ${alpn}`, measured);
}

interface Defect {
  readonly detail: string;
  readonly advice: Advice;
}

function defectOf(socket: TLSSocket, certificate: PeerCertificate, hostname: string, days: number): Defect | undefined {
  if (checkServerIdentity(hostname, certificate) !== undefined) {
    const names = printable(certificate.subjectaltname ?? String(certificate.subject?.CN ?? 'no name'));
    return { detail: `the certificate is for ${names}, not for ${hostname}`, advice: certificateAdvice };
  }
  if (socket.authorized) return undefined;
  const code = String(socket.authorizationError);
  if (code === 'CERT_HAS_EXPIRED') {
    return { detail: `the certificate expired ${-days} days ago`, advice: renewalAdvice };
  }
  if (code === 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' || code === 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY') {
    const text =
      'The server sends its certificate without the intermediate ones, or its authority is not a public one.';
    return { detail: `the chain is incomplete (${code})`, advice: { ...certificateAdvice, text } };
  }
  return { detail: `the certificate is not trusted (${printable(code)})`, advice: certificateAdvice };
}

function issuerOf({ issuer }: PeerCertificate): string {
  const { O: organization, CN: name } = issuer ?? {};
  return printable(String(organization ?? name ?? 'an unnamed authority'));
}
