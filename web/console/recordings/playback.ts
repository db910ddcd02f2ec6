import { begins, ends, type Segment } from './manifest';

/** How long before its end a segment's successor is fetched, in seconds. */
const AHEAD = 10;

interface Deck {
  audio: HTMLAudioElement;
  segment: Segment | null;
}

/**
 * Plays a row of segments as if they were one file: each is asked for when it
 * is its turn, by ranges, on one of two audio elements; the other one has the
 * next segment ready. Times are seconds of the recording.
 */
export class Playback {
  /** Called when something changed; at is asked for whenever it is shown. */
  changed: () => void = () => {};
  failed: (e: Error) => void = () => {};
  /** Called with the instant that was gone to. */
  moved: (seconds: number) => void = () => {};
  playing = false;
  private decks: Deck[];
  private rest = 0; // where it stands while no segment is loaded
  private speed = 1;

  constructor(private readonly address: (s: Segment) => string, private row: Segment[], elements: HTMLAudioElement[]) {
    this.decks = elements.map((audio) => ({ audio, segment: null }));
    for (const deck of this.decks) this.listen(deck);
  }

  private get deck(): Deck {
    return this.decks[0]!;
  }

  get at(): number {
    const { segment, audio } = this.deck;
    return segment ? begins(segment) + Math.min(audio.currentTime, ends(segment) - begins(segment)) : this.rest;
  }

  get end(): number {
    return this.row.length ? ends(this.row.at(-1)!) : 0;
  }

  /** Says that sound is due and has not come yet. */
  get waiting(): boolean {
    return this.playing && this.deck.audio.readyState < HTMLMediaElement.HAVE_FUTURE_DATA && !this.deck.audio.ended;
  }

  set rate(speed: number) {
    this.speed = speed;
    for (const { audio } of this.decks) audio.playbackRate = speed;
  }

  /** Goes to an instant; between two segments that is where the next begins. */
  seek(seconds: number, play = this.playing) {
    const segment = this.row.find((s) => seconds < ends(s)) ?? this.row.at(-1);
    if (!segment) return;
    this.load(this.deck, segment, Math.max(0, Math.min(seconds, ends(segment) - 0.02) - begins(segment)));
    this.moved(this.at);
    if (play) this.play();
    else this.changed();
  }

  play() {
    if (!this.deck.segment || this.at >= this.end - 0.03) this.seek(this.deck.segment ? 0 : this.rest, false);
    this.playing = true;
    this.deck.audio.play().catch((e: Error) => {
      if (e.name === 'AbortError') return; // another place was chosen meanwhile
      this.pause();
      this.failed(e);
    });
    this.changed();
  }

  pause() {
    this.playing = false;
    for (const { audio } of this.decks) audio.pause();
    this.changed();
  }

  /** Goes on at the same instant in another row. */
  change(row: Segment[]) {
    const { at, playing } = this;
    this.close();
    this.row = row;
    this.rest = at;
    if (at > 0 || playing) this.seek(at, playing);
  }

  close() {
    this.pause();
    for (const deck of this.decks) {
      deck.segment = null;
      deck.audio.removeAttribute('src');
      deck.audio.load();
    }
  }

  private load(deck: Deck, segment: Segment, offset: number) {
    if (deck.segment !== segment) {
      deck.segment = segment;
      deck.audio.src = this.address(segment);
      deck.audio.playbackRate = this.speed;
    }
    deck.audio.currentTime = offset; // before anything is loaded: where it begins
  }

  private listen(deck: Deck) {
    const mine = (does: () => void) => () => {
      if (deck === this.deck && deck.segment) does();
    };
    deck.audio.addEventListener('timeupdate', mine(() => {
      this.prepare();
      this.changed();
    }));
    for (const event of ['playing', 'waiting', 'seeked']) deck.audio.addEventListener(event, mine(() => this.changed()));
    deck.audio.addEventListener('ended', mine(() => this.next()));
    deck.audio.addEventListener('error', mine(() => {
      this.pause();
      this.failed(new Error(`${deck.segment!.path} could not be played.`));
    }));
  }

  private follower(): Segment | undefined {
    return this.row[this.row.indexOf(this.deck.segment!) + 1];
  }

  /** Has the other element fetch what comes next, in time. */
  private prepare() {
    const [deck, other] = this.decks;
    const next = this.follower();
    if (!this.playing || !next || !other || other.segment === next || ends(deck!.segment!) - this.at > AHEAD * this.speed) return;
    other.audio.preload = 'auto';
    this.load(other, next, 0);
  }

  private next() {
    const next = this.follower();
    if (!next) {
      this.pause();
      return;
    }
    if (this.decks[1]?.segment === next) {
      this.decks.reverse();
      this.decks[1]!.segment = null;
    } else {
      this.load(this.deck, next, 0);
    }
    if (this.playing) this.play();
  }
}
