import type {
  AuthenticationKind,
  ConnectionLife,
  EndReport,
  LifeCursor,
  LifeEnd,
  LifeEvent,
  RoundTrips,
} from './session-life.ts';

/** What the end of a connection means, and what to do about it: a sentence or two each. */
export interface Explanation {
  readonly meaning: string;
  readonly advice: string;
}

/** The server's reasons to close a connection, by code. */
const BY_SERVER: Readonly<Record<number, Explanation>> = {
  1000: { meaning: 'The server closed the connection normally.', advice: 'Nothing to do.' },
  1001: {
    meaning: 'The server shut down.',
    advice: 'Nothing to do: clients come back when the server told them to. Look for a restart at this time.',
  },
  1002: {
    meaning: 'The client broke the protocol, or ignored a hundred errors in a row.',
    advice: 'Mend the client: the errors it was sent are listed above.',
  },
  1003: { meaning: 'The client sent a binary frame.', advice: 'Mend the client: frames are text.' },
  1007: { meaning: 'The client sent text that is not UTF-8.', advice: 'Mend the client.' },
  1008: {
    meaning: 'The client did something that it may not do, and its wire cannot express an error.',
    advice: 'Check what its user may do, and what the hooks decide.',
  },
  1009: {
    meaning: 'The client sent a message that is longer than the limit.',
    advice: 'Send less at a time: 16 KiB is the limit of the native protocol.',
  },
  1011: { meaning: 'The server failed.', advice: 'Look for an error in the log at this time.' },
  1012: { meaning: 'The server restarted.', advice: 'Nothing to do: the client comes back.' },
  1013: {
    meaning: 'The hub was busy, and the wire of the client cannot express an error.',
    advice: 'Look at the load: pumphouse_overloads_total counts what was refused.',
  },
  4000: {
    meaning: 'The client read too slowly, and fell further behind than the send buffer.',
    advice:
      'The client comes back and catches up from its cursor. If it happens often, look at its network, give the room the policy skip or latest, or raise --send-buffer.',
  },
  4001: {
    meaning: 'The socket of the client accepted no data for the write wait.',
    advice:
      'The client was frozen, or its network was gone without notice. It comes back and catches up from its cursor.',
  },
  4002: {
    meaning: 'The client did not answer pings in time: its network or its device was gone without notice.',
    advice: 'Nothing to do for one client. Many at once point to a network, or to a proxy that loses connections.',
  },
  4003: {
    meaning: 'The client sent too fast, and went on after a hundred errors.',
    advice: 'Mend the client, or raise --publish-rate.',
  },
  4004: {
    meaning: 'The token of the client had expired or was revoked.',
    advice: 'Check that the client renews its token before it expires: a token function does so in the client library.',
  },
  4005: {
    meaning: 'There were too many connections.',
    advice: 'Raise --max-connections, --connections-per-address or --max-handshakes, if the machine allows it.',
  },
  4006: {
    meaning: 'The server could not decide about the connection.',
    advice: 'Look for a store that could not be reached at this time.',
  },
  4007: {
    meaning: 'The store lost messages, and the wire of the client cannot express that.',
    advice: 'See Failures in docs/operations.md.',
  },
  4008: { meaning: 'A program asked the client to reconnect.', advice: 'Nothing to do: the Server API was called.' },
  4500: {
    meaning: 'Another connection resumed the session.',
    advice:
      'Nothing to do: the client came back, and its earlier connection was still open here. If it goes on, two clients share one session.',
  },
  4501: {
    meaning: 'The client was not signed in, or its credential was revoked.',
    advice: 'Let the user sign in again.',
  },
  4502: { meaning: 'The origin of the page is not allowed.', advice: 'Allow it with --origin.' },
  4503: { meaning: 'The connect hook did not admit the client.', advice: 'Look at the hook.' },
  4504: { meaning: 'A program disconnected the user.', advice: 'Nothing to do: the Server API was called.' },
};

const BY_CLIENT: Readonly<Record<number, Explanation>> = {
  1000: { meaning: 'The client closed the connection.', advice: 'Nothing to do.' },
  1001: { meaning: 'The page was closed or left.', advice: 'Nothing to do.' },
  1005: { meaning: 'The client closed the connection without a code.', advice: 'Nothing to do: most clients do so.' },
};

/** Explains how a connection ended, with what its client reported. */
export function explainEnd(connection: ConnectionLife): Explanation {
  const { end, report } = connection;
  if (end === undefined) return { meaning: 'The connection is open.', advice: 'Nothing to do.' };
  if (end.by === 'server') {
    return (
      BY_SERVER[end.code] ?? { meaning: `The server closed it with code ${end.code}.`, advice: 'See PROTOCOL.md.' }
    );
  }
  if (end.code === 1006) return explainCut(connection, end, report);
  return (
    BY_CLIENT[end.code] ?? {
      meaning: `The client closed it with code ${end.code}.`,
      advice: 'See PROTOCOL.md for its own codes.',
    }
  );
}

/** The connection was lost without a close frame: what the client saw tells the causes apart. */
function explainCut(connection: ConnectionLife, end: LifeEnd, report: EndReport | undefined): Explanation {
  const lost = `The connection was cut without a close frame, ${idleText(connection, end)}`;
  if (report?.online === false) {
    return {
      meaning: `${lost}. The device of the client was offline.`,
      advice: 'Nothing to do: the network of the client was gone.',
    };
  }
  if (report?.visible === false) {
    return {
      meaning: `${lost}. The page was hidden.`,
      advice:
        'Nothing to do: browsers and phones suspend pages in the background. The client comes back and catches up.',
    };
  }
  if (report !== undefined) {
    return {
      meaning: `${lost}. The client was online and saw the connection end, too: something between both cut it.`,
      advice: `Look for a proxy or load balancer whose limit for connections is near ${seconds(end.at - connection.openedAt)}, or a limit for idle ones below 25 s, and for its restarts.`,
    };
  }
  return {
    meaning: `${lost}. The client has not come back to report how it saw the end.`,
    advice: 'Its process or device may have ended, or its network. Many at once point to a proxy.',
  };
}

function idleText({ roundTrips, openedAt }: ConnectionLife, end: LifeEnd): string {
  const answered = roundTrips?.last.at(-1)?.at;
  if (answered === undefined) return `${seconds(end.at - openedAt)} after it opened and before a ping was answered`;
  return `${seconds(end.at - answered)} after the last answered ping`;
}

/** Formats milliseconds as seconds, with a decimal below 10. */
function seconds(ms: number): string {
  const value = Math.max(0, ms) / 1000;
  return `${value < 10 ? Number(value.toFixed(1)) : Math.round(value)} s`;
}

/** Describes how a client saw the end. */
export function describeReport({ code, reason, after, away, online, visible }: EndReport, { name }: Formats): string {
  const how = code === undefined ? 'gave it up' : `saw it end with code ${code}`;
  const why = reason === '' ? '' : ` “${name(reason)}”`;
  const network = online === undefined ? '' : online ? ', online' : ', offline';
  const page = visible === undefined ? '' : visible ? ', with the page visible' : ', with the page hidden';
  return `${how}${why} after ${formatDuration(after)}${network}${page}, and was back after ${formatDuration(away)}`;
}

/** How a handshake was accepted, as it follows "connected". */
export const AUTHENTICATED: Readonly<Record<AuthenticationKind, string>> = {
  none: 'as a guest',
  token: 'with a token',
  ticket: 'with the ticket of a sign-in',
  password: 'with a password',
  session: 'with the secret of its session',
  hook: 'as the connect hook decided',
};

/** How times, and names of a client's making, are shown. */
export interface Formats {
  time(at: number): string;
  name(text: string): string;
}

/** Describes an event. @param ended when its connection ended. */
export function describeEvent(event: LifeEvent, ended: number | undefined, { time, name }: Formats): string {
  const room = event.room === undefined ? 'a room' : name(event.room);
  switch (event.kind) {
    case 'joined':
    case 'left':
      return `${event.kind} ${room}`;
    case 'parked': {
      const until = event.until ?? ended;
      const to = until === undefined ? 'until now' : `until ${time(until)} (${formatDuration(until - event.at)})`;
      return `parked in ${room} ${to}: its socket accepted no data, ${messages(event.behind)} behind at most`;
    }
    case 'refused': {
      const times = event.count === 1 ? '' : `, ${event.count} times until ${time(event.last)}`;
      return `was sent the error ${event.code}${event.room === undefined ? '' : ` for ${room}`}${times}`;
    }
  }
}

/** Describes the round trips of a connection. */
export function describeRoundTrips({ count, min, max, last }: RoundTrips): string {
  const [, median] = spread(last.map(({ ms }) => ms));
  const pings = count === 1 ? '1 ping' : `${count} pings`;
  return `answered ${pings}: ${min} to ${max} ms, median of the last ${last.length} ${median} ms`;
}

/** Describes a cursor. */
export function describeCursor({ room, seq, epoch, behind }: LifeCursor, { name }: Formats): string {
  const where = behind === 0 ? 'at its head' : `${messages(behind)} behind`;
  return `in ${name(room)} at message ${seq} of epoch ${name(epoch)}, ${where}`;
}

/** Describes the end, without its time. */
export function describeEnd({ code, reason, by }: LifeEnd, { name }: Formats): string {
  const side = by === 'server' ? 'the server' : code === 1006 ? 'the network or the client' : 'the client';
  return `closed by ${side} with ${code}${reason === '' ? '' : ` “${name(reason)}”`}`;
}

/** Formats milliseconds in its two largest units. */
export function formatDuration(ms: number): string {
  const rest = Math.round(Math.max(0, ms) / 1000);
  if (ms < 120_000) return seconds(ms);
  const minutes = Math.floor(rest / 60);
  if (minutes < 120) return `${minutes} min ${rest % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function messages(count: number): string {
  return count === 1 ? '1 message' : `${count} messages`;
}

/** Returns the shortest, the median and the longest of some durations. */
function spread(values: readonly number[]): readonly [min: number, median: number, max: number] {
  const sorted = [...values].sort((a, b) => a - b);
  return [sorted[0] ?? 0, sorted[Math.floor(sorted.length / 2)] ?? 0, sorted.at(-1) ?? 0];
}
