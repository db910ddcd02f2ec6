import { follow, type Told } from '../follow';
import { perFrame } from '../frames';
import type { Capture, Figures } from './types';

const SETTLE = 150; // ms in which captures come into view before they are asked for
const LOUD = -50; // dBFS: who is louder speaks

/** What shows one stream; it is told only while it can be seen. */
export interface Row {
  level(dB: number | null): void;
  figures(f: Figures): void;
}

/** What shows a capture. */
export interface Card {
  now(seconds: number, state: string): void;
  speakers(streamIDs: string[]): void;
  listening(l: Capture['listening'], live: Capture['live']): void;
}

/**
 * Levels and figures of the captures in view, from one stream of the API to
 * the rows in view. What comes between two frames is shown once; two hundred
 * streams cost what can be seen of them.
 */
export class Meters {
  #rows = new Map<string, Row>();
  #cards = new Map<string, Card>();
  #levels = new Map<string, Map<string, number>>(); // by capture, by stream
  #figures = new Map<string, Figures>();
  #news = new Map<string, any>(); // the newest levels message of a capture that is not shown yet
  #dirtyLevels = new Set<string>();
  #dirtyFigures = new Set<string>();
  #show = perFrame(() => this.#flush());
  #end = () => {};
  #followed = '';
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly failed: (e: unknown) => void) {}

  /** Tells a row now and from now on, until the returned function is called. */
  row(capture: string, streamID: string, row: Row): () => void {
    const key = keyOf(capture, streamID);
    this.#rows.set(key, row);
    this.#dirtyLevels.add(key);
    if (this.#figures.has(key)) this.#dirtyFigures.add(key);
    this.#show();
    return () => {
      if (this.#rows.get(key) === row) this.#rows.delete(key);
    };
  }

  card(capture: string, card: Card): () => void {
    this.#cards.set(capture, card);
    this.#settle();
    return () => {
      if (this.#cards.get(capture) !== card) return;
      this.#cards.delete(capture);
      this.#settle();
    };
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#end();
    this.#followed = '';
  }

  /** Follows what is in view, and nothing else. */
  #settle(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const ids = [...this.#cards.keys()].sort().slice(0, 100);
      const query = ids.map((id) => `capture=${encodeURIComponent(id)}`).join('&');
      if (query === this.#followed) return;
      this.#end();
      this.#followed = query;
      this.#end = query === '' ? () => {} : follow(`/v1/meters?${query}`, {
        told: (t) => this.#told(t),
        connected: (on) => on && this.#forget(), // it tells all again, but not who left meanwhile
        refused: (e) => {
          this.#followed = ''; // a capture is gone; the list of captures says so, too
          if ((e as { status?: number }).status !== 404) this.failed(e);
        },
      });
    }, SETTLE);
  }

  /** Nobody is known to speak, until it is told. */
  #forget(): void {
    for (const [capture, levels] of this.#levels) {
      for (const streamID of levels.keys()) this.#dirtyLevels.add(keyOf(capture, streamID));
      if (!this.#news.has(capture)) this.#news.set(capture, {});
    }
    this.#levels.clear();
    this.#figures.clear();
    this.#show();
  }

  #told({ type, data }: Told): void {
    if (type === 'levels') {
      let levels = this.#levels.get(data.capture);
      if (!levels) this.#levels.set(data.capture, (levels = new Map()));
      for (const [streamID, dB] of Object.entries(data.levels as Record<string, number | null>)) {
        if (dB === null) levels.delete(streamID);
        else levels.set(streamID, dB);
        const key = keyOf(data.capture, streamID);
        if (this.#rows.has(key)) this.#dirtyLevels.add(key);
      }
    } else if (type === 'figures') {
      for (const [streamID, f] of Object.entries(data.streams as Record<string, Figures>)) {
        const key = keyOf(data.capture, streamID);
        this.#figures.set(key, f);
        if (this.#rows.has(key)) this.#dirtyFigures.add(key);
      }
    } else {
      return;
    }
    this.#news.set(data.capture, { ...this.#news.get(data.capture), ...data });
    this.#show();
  }

  #flush(): void {
    for (const key of this.#dirtyLevels) {
      const [capture = '', streamID = ''] = key.split('\n');
      this.#rows.get(key)?.level(this.#levels.get(capture)?.get(streamID) ?? null);
    }
    for (const key of this.#dirtyFigures) {
      const figures = this.#figures.get(key);
      if (figures) this.#rows.get(key)?.figures(figures);
    }
    for (const [capture, { seconds, state, listening, live }] of this.#news) {
      const card = this.#cards.get(capture);
      if (!card) continue;
      if (seconds !== undefined) card.now(seconds, state);
      if (listening) card.listening(listening, live);
      card.speakers([...(this.#levels.get(capture) ?? [])].filter(([, dB]) => dB > LOUD).map(([streamID]) => streamID));
    }
    this.#dirtyLevels.clear();
    this.#dirtyFigures.clear();
    this.#news.clear();
  }
}

const keyOf = (capture: string, streamID: string) => `${capture}\n${streamID}`;
