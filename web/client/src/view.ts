/** What createRemoteStreamView and createLocalStreamView return: a stream in an audio element of the page. */
export class ZegoStreamView {
  #element: HTMLAudioElement | null = null;

  constructor(private readonly media: MediaStream, private readonly muted: boolean) {}

  /** Plays it in the element of that id, or unseen in the page. A local stream is shown, not heard. */
  play(elementID?: string): void {
    this.stop();
    const element = (this.#element = document.createElement('audio'));
    element.autoplay = true;
    element.muted = this.muted;
    element.srcObject = this.media;
    const place = elementID === undefined ? null : document.getElementById(elementID);
    (place ?? document.body).append(element);
    element.play().catch(() => {}); // the browser wants a gesture first: resume
  }

  playAudio(): void {
    this.play();
  }

  pause(): void {
    this.#element?.pause();
  }

  resume(): void {
    this.#element?.play().catch(() => {});
  }

  stop(): void {
    if (!this.#element) return;
    this.#element.srcObject = null;
    this.#element.remove();
    this.#element = null;
  }
}
