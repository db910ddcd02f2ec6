import { createContext } from 'preact';
import { useContext } from 'preact/hooks';

/** Who the key is, as GET /v1/me says. */
export interface Me {
  id: string;
  name: string;
  roles: string[];
  /** Patterns of room ids; none means all rooms. */
  rooms: string[];
  rights: string[];
}

export const Who = createContext<Me>({ id: '', name: '', roles: [], rooms: [], rights: [] });

/** What the key may do. Calls that concern the whole daemon are not for a key of some rooms. */
export function useRights(): (right: string) => boolean {
  const me = useContext(Who);
  return (right) => may(me, right);
}

const WHOLE_DAEMON = new Set(['rules.see', 'rules.set', 'webhooks.set', 'audit.see']);

export function may(me: Me, right: string): boolean {
  return me.rights.includes(right) && (me.rooms.length === 0 || !WHOLE_DAEMON.has(right));
}
