import type { Command } from 'commander';
import type { TokenOptions } from './token-signing.ts';

/** `pumphouse token`: signs a token for trying out `--auth jwt`. */
export function addTokenCommand(program: Command): void {
  program
    .command('token <USER>')
    .description('Sign a token for trying out --auth jwt.')
    .allowExcessArguments(false)
    .option('--expires <TIME>', 'validity, such as 90s, 15m, 12h or 7d', '1h')
    .option('--room <NAME...>', 'rooms that the token allows; a trailing * matches any ending')
    .option('--jwt-secret <SECRET>', 'secret to sign with, HS256 (env PUMPHOUSE_JWT_SECRET)')
    .option('--key <FILE>', 'PEM file with the private key to sign with: RS256, ES256 or EdDSA')
    .option('--issuer <NAME>', 'issuer (iss)')
    .option('--audience <NAME>', 'audience (aud)')
    .action(async (user: string, options: TokenOptions) => {
      const { tokenFor } = await import('./token-signing.ts');
      console.log(await tokenFor(user, options));
    });
}
