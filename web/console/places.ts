import type { ComponentType } from 'preact';
import { lazily } from './lazily';
import { Live } from './live';
import { may, type Me } from './rights';

/** What every place gets. */
export interface PlaceProps {
  /** What is chosen there: #recordings/ID. */
  chosen: string;
  failed: (e: unknown) => void;
  ok: () => void;
}

interface Place {
  text: string;
  /** One of them opens it. */
  rights: string[];
  Page: ComponentType<PlaceProps>;
}

/** The places of the console; all but the first are loaded when somebody first goes there. */
export const PLACES: Record<string, Place> = {
  live: { text: 'Live', rights: ['captures.see', 'rooms.see'], Page: Live },
  recordings: { text: 'Recordings', rights: ['recordings.see'], Page: lazily(() => import('./recordings')) },
  rules: { text: 'Rules', rights: ['rules.see'], Page: lazily(() => import('./rules')) },
  events: { text: 'Events', rights: ['events.see'], Page: lazily(() => import('./events')) },
  deliveries: { text: 'Deliveries', rights: ['webhooks.set'], Page: lazily(() => import('./deliveries')) },
  system: { text: 'System', rights: ['operations'], Page: lazily(() => import('./system')) },
  keys: { text: 'Keys', rights: ['keys.set'], Page: lazily(() => import('./keys')) },
};

/** The places that a key has anything to do in. */
export function open(me: Me): [string, Place][] {
  return Object.entries(PLACES).filter(([, p]) => p.rights.some((r) => may(me, r)));
}

/** Where an address leads; to the first that is open if it leads nowhere. */
export function placeOf(hash: string, me: Me): { name: string; place: Place | undefined; chosen: string } {
  const [wanted = '', ...rest] = hash.slice(1).split('/').map(decoded);
  const opened = open(me);
  const [name, place] = opened.find(([n]) => n === wanted) ?? opened[0] ?? ['', undefined];
  return { name, place, chosen: name === wanted ? rest.join('/') : '' };
}

/** What a part of an address says; one that no page of ours wrote, as it is. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
