// What is drawn on the canvases of a recording: waves and what lanes show.

import type { Hole, Lane, Overview, Span, Wave } from './overview';

/** The part of the recording that is shown, in seconds. */
export interface Window {
  from: number;
  to: number;
}

/** Colours of the page, by what they are for. */
interface Palette {
  wave: string;
  talk: string;
  soft: string;
  there: string;
  pause: string;
  away: string;
  jitter: string;
}

function palette(canvas: HTMLCanvasElement): Palette {
  const style = getComputedStyle(canvas);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  return {
    wave: colour('--accent'), talk: colour('--talk'), soft: colour('--quiet'), there: colour('--there'), pause: colour('--hatch'),
    away: colour('--danger'), jitter: colour('--rough'),
  };
}

/** A drawing of one row: time to x, and the height in CSS pixels. */
class Sheet {
  readonly width: number;
  readonly height: number;
  readonly ink: CanvasRenderingContext2D;

  constructor(canvas: HTMLCanvasElement, private readonly shown: Window) {
    const dots = Math.min(devicePixelRatio || 1, 3);
    this.width = canvas.clientWidth;
    this.height = canvas.clientHeight;
    canvas.width = Math.round(this.width * dots);
    canvas.height = Math.round(this.height * dots);
    this.ink = canvas.getContext('2d')!;
    this.ink.scale(dots, dots);
    this.ink.clearRect(0, 0, this.width, this.height);
  }

  x(seconds: number): number {
    return ((seconds - this.shown.from) / Math.max(0.001, this.shown.to - this.shown.from)) * this.width;
  }

  seconds(x: number): number {
    return this.shown.from + (x / Math.max(1, this.width)) * (this.shown.to - this.shown.from);
  }

  box([from, to]: Span | [number, number, number], top: number, height: number, colour: string, least = 1) {
    const [left, right] = [this.x(from), this.x(to)];
    if (right < 0 || left > this.width) return;
    this.ink.fillStyle = colour;
    this.ink.fillRect(left, top, Math.max(least, right - left), height);
  }

  /** Something that was left out: stripes over the whole height. */
  stripes([from, to]: Span, colour: string) {
    const [left, right] = [Math.max(0, this.x(from)), Math.min(this.width, this.x(to))];
    if (right < 0 || left > this.width) return;
    const { ink, height } = this;
    ink.save();
    ink.beginPath();
    ink.rect(left, 0, Math.max(2, right - left), height);
    ink.clip();
    ink.strokeStyle = colour;
    ink.lineWidth = 2;
    ink.beginPath();
    for (let x = left - height - ((left - height) % 7); x < right + height; x += 7) {
      ink.moveTo(x, height);
      ink.lineTo(x + height, 0);
    }
    ink.stroke();
    ink.restore();
  }

  /** Bars of 2 px, a px apart, each as high as the loudest of its time. Quiet speech is to be seen: heights go by the square root. */
  wave(waves: Wave[], over: Window, colourAt: (seconds: number) => string) {
    const span = over.to - over.from;
    const middle = this.height / 2;
    for (let x = 0; x < this.width; x += 3) {
      const [from, to] = [this.seconds(x), this.seconds(x + 3)];
      let peak = 0;
      for (const { peaks } of waves) {
        const first = Math.floor(((from - over.from) / span) * peaks.length);
        const last = Math.max(first + 1, Math.ceil(((to - over.from) / span) * peaks.length));
        for (let i = Math.max(0, first); i < Math.min(last, peaks.length); i++) peak = Math.max(peak, peaks[i]!);
      }
      if (peak === 0) continue;
      const half = Math.max(0.5, Math.sqrt(peak) * (middle - 2));
      this.ink.fillStyle = colourAt((from + to) / 2);
      this.ink.fillRect(x, middle - half, 2, 2 * half);
    }
  }
}

const span = (h: Hole): Span => [h.from, h.to];

/** The output that is listened to. */
export function drawWave(canvas: HTMLCanvasElement, o: Overview, wave: Wave | undefined, shown: Window) {
  const sheet = new Sheet(canvas, shown);
  const colours = palette(canvas);
  for (const gap of o.gaps.filter((g) => g.output === wave?.output)) sheet.stripes(span(gap), colours.pause);
  for (const pause of o.pauses.filter((p) => !p.output || wave?.output.split('/')[0] === p.output)) sheet.stripes(span(pause), colours.pause);
  if (wave) sheet.wave([wave], o, () => colours.wave);
}

/** One user: there, silent, speaking, muted, paused; and how well the stream arrived. */
export function drawLane(canvas: HTMLCanvasElement, o: Overview, lane: Lane, shown: Window) {
  const sheet = new Sheet(canvas, shown);
  const colours = palette(canvas);
  const { height } = sheet;
  for (const s of lane.present) sheet.box(s, 0, height, colours.there);
  const talk = lane.talk;
  let next = 0; // bars come from left to right, and so do spurts
  const ordered = [...talk].sort((a, b) => a[0] - b[0]);
  const talking = (seconds: number) => {
    while (next < ordered.length && ordered[next]![1] < seconds) next++;
    return next < ordered.length && ordered[next]![0] <= seconds;
  };
  if (lane.waves.length > 0) {
    for (const s of talk) sheet.box(s, height - 3, 3, colours.talk);
    sheet.wave(lane.waves, o, (seconds) => (talking(seconds) ? colours.talk : colours.soft));
  } else {
    for (const s of talk) sheet.box(s, height * 0.3, height * 0.4, colours.talk, 1.5);
  }
  for (const s of lane.muted) sheet.box(s, height / 2 - 1, 2, colours.pause);
  for (const s of lane.excluded) sheet.stripes(s, colours.pause);
  for (const p of [...lane.paused, ...o.pauses.filter((h) => !h.output)]) sheet.stripes(span(p), colours.pause);
  for (const s of lane.jitter) sheet.box(s, 0, 3, colours.jitter, 2);
  for (const s of o.away) sheet.stripes(s, colours.away);
}
