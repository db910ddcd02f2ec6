// Where room, name and token come from: the fragment of the address
// (#room=…&user=…&token=…&appID=…), which browsers send to nobody. Further keys:
// stream (the stream ID to use) and microphone=raw (no echo cancellation, noise
// suppression and gain control). A page that is loaded again in its tab finds
// its token in the session's storage.

import type { Ticket } from './call';

const KEY = 'login';

/** What the address says, and what the tab remembers. Takes the token out of the address. */
export function readTicket(): Ticket {
  const given = new URLSearchParams(location.hash.slice(1));
  const ticket: Ticket = {
    room: given.get('room') ?? '', user: given.get('user') ?? '', token: given.get('token') ?? '',
    appID: Number(given.get('appID')) || 0, stream: given.get('stream') ?? '', raw: given.get('microphone') === 'raw',
  };
  if (given.has('token')) {
    // It stays out of the address bar, where others see it and the history keeps it.
    given.delete('token');
    history.replaceState(null, '', `${location.pathname}${location.search}#${given}`);
    return ticket;
  }
  const last = JSON.parse(sessionStorage.getItem(KEY) || 'null') as Ticket | null;
  if (!last || (ticket.room || last.room) !== last.room || (ticket.user || last.user) !== last.user) return ticket;
  return { ...ticket, room: last.room, user: last.user, token: last.token, appID: ticket.appID || last.appID };
}

export function remember({ room, user, token, appID }: Ticket): void {
  sessionStorage.setItem(KEY, JSON.stringify({ room, user, token, appID }));
}

export function forget(): void {
  sessionStorage.removeItem(KEY);
}

/** The command that makes a token, in parts that stay on one line each. */
export function tokenCommand(room: string, user: string): string[] {
  const quote = (s: string) => (/^[\w.@-]+$/.test(s) ? s : `'${s.replaceAll("'", "'\\''")}'`);
  return ['mixdown token', `--room ${quote(room.trim() || 'ROOM')}`, `--user ${quote(user.trim() || 'NAME')}`, '--publish'];
}
