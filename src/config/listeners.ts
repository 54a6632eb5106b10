import type { Settings } from './settings.ts';

/** The settings by which a listener authenticates its clients. */
export type AuthSettings = Pick<Settings, 'auth' | 'users' | 'jwtSecret' | 'jwtKey' | 'jwtIssuer' | 'jwtAudience'>;

type AddressSettings = Pick<Settings, 'host' | 'port' | 'wire' | 'web' | 'tlsCert' | 'tlsKey'>;

/** One listener with every default applied. */
export interface Listener extends AddressSettings, AuthSettings {
  /** Its place in the setting `listeners`. Undefined for the listener that the others describe. */
  readonly index: number | undefined;
  /** The settings of authentication that it has itself, instead of those of the server. */
  readonly overrides: ReadonlySet<string>;
}

const DEFAULTS = { host: '127.0.0.1', wire: 'auto', web: undefined, tlsCert: undefined, tlsKey: undefined } as const;

/** Returns the listeners of a config file, or the one that the other settings describe. */
export function listenersOf(settings: Settings): readonly Listener[] {
  const { listeners, host, port, wire, web, tlsCert, tlsKey } = settings;
  const shared = authSettings(settings);
  if (listeners.length === 0) {
    const address = { host, port, wire, web, tlsCert, tlsKey };
    return [{ ...address, ...shared, index: undefined, overrides: new Set() }];
  }
  return listeners.map((listener, index) => {
    const own = Object.fromEntries(Object.entries(listener).filter(([, value]) => value !== undefined));
    // A listener with a key of its own does not inherit the other kind of key.
    const hasKey = own['jwtSecret'] !== undefined || own['jwtKey'] !== undefined;
    const inherited = hasKey ? { ...shared, jwtSecret: undefined, jwtKey: undefined } : shared;
    const overrides = new Set(Object.keys(own).filter((name) => Object.hasOwn(shared, name)));
    return { ...DEFAULTS, ...inherited, port: listener.port, ...own, index, overrides };
  });
}

function authSettings({ auth, users, jwtSecret, jwtKey, jwtIssuer, jwtAudience }: Settings): AuthSettings {
  return { auth, users, jwtSecret, jwtKey, jwtIssuer, jwtAudience };
}
