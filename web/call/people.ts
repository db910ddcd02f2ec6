// Who is here: names, what they do, how loud they are, how well they are heard.

import type { ZegoStreamList, ZegoUser } from '../client/src';

export interface Person {
  userID: string;
  name: string;
  self: boolean;
  /** Of their streams. */
  streamIDs: Set<string>;
  muted: boolean;
  /** Sound level, 0 to 100. */
  level: number;
  /** The quality of their sound: 0 excellent to 4 dead; null while nothing is known. */
  grade: number | null;
  /** What the grade comes from. */
  figures: string;
}

export class People {
  #people = new Map<string, Person>(); // by userID
  #owners = new Map<string, string>(); // userID by streamID

  get list(): Person[] {
    return [...this.#people.values()];
  }

  add({ userID, userName }: ZegoUser, self = false): Person {
    let person = this.#people.get(userID);
    if (!person) {
      person = { userID, name: userName || userID, self, streamIDs: new Set(), muted: false, level: 0, grade: null, figures: '' };
      this.#people.set(userID, person);
    }
    return person;
  }

  remove(userID: string): void {
    this.#people.delete(userID);
  }

  addStream({ streamID, user, extraInfo }: Pick<ZegoStreamList, 'streamID' | 'user' | 'extraInfo'>, self = false): void {
    this.#owners.set(streamID, user.userID);
    this.add(user, self).streamIDs.add(streamID); // a stream may be told before its user
    this.setInfo(streamID, extraInfo);
  }

  removeStream(streamID: string): void {
    const person = this.#of(streamID);
    this.#owners.delete(streamID);
    if (!person) return;
    person.streamIDs.delete(streamID);
    Object.assign(person, { muted: false, level: 0, grade: null, figures: '' });
  }

  /** This page tells in its stream's extra info whether it is muted. */
  setInfo(streamID: string, extraInfo: string): void {
    const person = this.#of(streamID);
    if (person) person.muted = Boolean((parse(extraInfo) as { muted?: boolean } | null)?.muted);
  }

  setLevels(levels: { streamID: string; soundLevel: number }[]): void {
    const loudest = new Map<Person, number>();
    for (const { streamID, soundLevel } of levels) {
      const person = this.#of(streamID);
      if (person) loudest.set(person, Math.max(soundLevel, loudest.get(person) ?? 0));
    }
    for (const [person, level] of loudest) person.level = level;
  }

  /** Nothing is known of anybody's sound. */
  hush(): void {
    for (const person of this.#people.values()) Object.assign(person, { level: 0, grade: null, figures: '' });
  }

  setQuality(streamID: string, grade: number, figures: string): void {
    const person = this.#of(streamID);
    if (person) Object.assign(person, { grade, figures });
  }

  #of(streamID: string): Person | undefined {
    return this.#people.get(this.#owners.get(streamID) ?? '');
  }
}

/** A program's own text is no JSON, perhaps. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text || 'null');
  } catch {
    return null;
  }
}

/** The mix of a capture is nobody who is here, and played to those who are in it
    they would hear themselves, late. */
export function isMix({ extraInfo }: { extraInfo: string }): boolean {
  return (parse(extraInfo) as { mixdown?: string } | null)?.mixdown === 'mix';
}
