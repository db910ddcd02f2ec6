import { follow, type Told } from '../follow';
import { perFrame } from '../frames';
import { may, type Me } from '../rights';
import { Refused, get } from '../rest';
import { ended, type Capture, type Room, type Spool } from './types';

const ROOMS_EVERY = 3000; // ms between looks at rooms that nobody records: no events tell of them
const SPOOL_EVERY = 15_000; // ms between looks at the spool, unless an event says that something changed
const BLIND_EVERY = 3000; // ms between looks at captures for a key that may see no events
const WHOLE_EVERY = 1000; // ms between looks at a capture of which events leave out the streams

/** What goes on now: captures as events tell of them, and what no event tells of. */
export class Store {
  captures: Capture[] | null = null;
  rooms: Room[] = [];
  spool: Spool | null = null;
  /** The stream of events stands. */
  connected = true;
  #all = new Map<string, Capture>();
  #news = 0; // events told of captures so far
  #lastTold = new Map<string, number>(); // the last of them, by capture
  #owed = new Set<string>(); // captures to be looked at as a whole
  #ends: (() => void)[] = [];
  #timers = new Map<string, ReturnType<typeof setTimeout>>();
  #over = false;
  #changed: () => void;

  /** changed is called once in a frame in which something did. */
  constructor(private readonly me: Me, changed: () => void, private readonly failed: (e: unknown) => void) {
    this.#changed = perFrame(() => {
      if (!this.#over) changed();
    });
  }

  start(): void {
    const sees = (right: string) => may(this.me, right);
    if (sees('events.see') && sees('captures.see')) {
      const types = ['capture.*', 'user.*', 'stream.*', 'segment.sealed', 'storage.*', 'spool.*'].map((t) => `type=${encodeURIComponent(t)}`);
      this.#ends.push(follow(`/v1/events?${types.join('&')}`, {
        told: (t) => this.#told(t),
        connected: (on) => {
          this.connected = on;
          this.#changed();
          if (on) this.#look();
        },
        refused: this.failed,
      }));
    } else if (sees('captures.see')) {
      this.#every('captures', BLIND_EVERY, () => this.#look());
    } else {
      this.captures = [];
    }
    if (sees('rooms.see')) {
      this.#every('rooms', ROOMS_EVERY, async () => {
        this.rooms = (await get<{ rooms: Room[] }>('/v1/rooms?unrecorded=true&limit=1000')).rooms;
        this.#changed();
      });
    }
    if (sees('operations')) this.#every('spool', SPOOL_EVERY, () => this.#lookAtSpool());
  }

  end(): void {
    this.#over = true;
    for (const end of this.#ends) end();
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  /** To be taken before a call, for [answered]. */
  get mark(): number {
    return this.#news;
  }

  /** What a call answered, unless an event overtook the answer: that told what the capture is. */
  answered(c: Capture, mark: number): void {
    if (!this.#newer(c.id, mark)) this.put(c);
  }

  #newer(id: string, mark: number): boolean {
    return (this.#lastTold.get(id) ?? 0) > mark;
  }

  put(c: Capture): void {
    if (ended(c.state)) this.#all.delete(c.id);
    else this.#all.set(c.id, c);
    this.captures = [...this.#all.values()].sort((a, b) => b.start.localeCompare(a.start) || a.id.localeCompare(b.id));
    this.#changed();
  }

  /** Looks again and again, while the page is seen. */
  #every(name: string, ms: number, look: () => Promise<void>): void {
    const once = async () => {
      try {
        if (!document.hidden) await look();
      } catch (e) {
        if (!this.#over) this.failed(e);
      }
      if (!this.#over) this.#timers.set(name, setTimeout(once, ms));
    };
    once();
  }

  async #look(): Promise<void> {
    try {
      const all: Capture[] = [];
      const mark = this.#news;
      for (let cursor = ''; ;) {
        const page = await get<{ captures: Capture[]; nextCursor?: string }>(`/v1/captures?running=true&limit=200${cursor}`);
        all.push(...page.captures);
        if (!page.nextCursor) break;
        cursor = `&cursor=${encodeURIComponent(page.nextCursor)}`;
      }
      for (const id of [...this.#all.keys()]) if (!this.#newer(id, mark)) this.#all.delete(id);
      this.captures = [...this.#all.values()];
      this.#changed();
      for (const c of all) if (!this.#newer(c.id, mark)) this.put(c);
    } catch (e) {
      if (!this.#over) this.failed(e);
    }
  }

  async #lookAtSpool(): Promise<void> {
    this.spool = await get<Spool>('/v1/spool');
    this.#changed();
  }

  #told({ type, data }: Told): void {
    if (type === 'events.gone') {
      this.#look();
    } else if (type.startsWith('storage.') || type.startsWith('spool.')) {
      if (may(this.me, 'operations')) this.#soon('spool now', 500, () => this.#lookAtSpool());
    } else if (data.data?.details?.omitted) {
      this.#owed.add(data.capture);
      this.#soon('whole', WHOLE_EVERY, () => this.#payOff());
    } else if (data.data?.capture) {
      this.#lastTold.set(data.data.capture.id, ++this.#news);
      this.put(data.data.capture);
    }
  }

  #soon(name: string, ms: number, look: () => Promise<void>): void {
    if (this.#timers.has(name)) return;
    this.#timers.set(name, setTimeout(() => {
      this.#timers.delete(name);
      look().catch((e) => {
        if (!this.#over) this.failed(e);
      });
    }, ms));
  }

  async #payOff(): Promise<void> {
    const ids = [...this.#owed];
    this.#owed.clear();
    for (const id of ids) {
      const { mark } = this;
      try {
        this.answered(await get<Capture>(`/v1/captures/${encodeURIComponent(id)}`), mark);
      } catch (e) {
        if (!(e instanceof Refused && e.status === 404)) throw e; // it is gone
      }
    }
  }
}
