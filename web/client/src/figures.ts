import { Code, ZegoError } from './codes';
import type { Events } from './events';
import { Growth, entriesOf, playStats, publishStats, soundLevel } from './quality';
import type { Room } from './room';
import type { ZegoPlayStats, ZegoPublishStats, ZegoSoundLevel } from './types';

const QUALITY_INTERVAL = 3000; // ms between quality events

/** Asks the media connections of a login for their figures, and tells them. */
export class Figures {
  #growth = new Growth();
  #latest = new Map<string, ZegoPublishStats | ZegoPlayStats>();
  #qualityTimer: ReturnType<typeof setInterval> | undefined;
  #levelTimer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly events: Events, private readonly room: () => Room | null) {}

  /** Begins to tell quality; it ends by itself when nothing is published or played. */
  watchQuality(): void {
    if (this.room() && this.#qualityTimer === undefined) this.#qualityTimer = setInterval(() => this.#quality(), QUALITY_INTERVAL);
  }

  rest(): void {
    clearInterval(this.#qualityTimer);
    this.#qualityTimer = undefined;
  }

  /** What comes later under this name counts anew. */
  forget(type: ZegoSoundLevel['type'], streamID: string): void {
    this.#growth.forget(`${type} ${streamID}`);
    this.#latest.delete(`${type} ${streamID}`);
  }

  /** What was told last of a stream; rejects before that. */
  async latest(type: ZegoSoundLevel['type'], streamID: string): Promise<ZegoPublishStats | ZegoPlayStats> {
    const stats = this.#latest.get(`${type} ${streamID}`);
    if (stats) return stats;
    throw new ZegoError(type === 'push' ? Code.NOT_PUBLISHING : Code.STREAM_MISSING, `nothing is known of stream ${streamID} yet`);
  }

  /** Switches sound levels; interval in ms, 100 to 3000. */
  setSoundLevels(on: boolean, interval: number): void {
    clearInterval(this.#levelTimer);
    this.#levelTimer = on ? setInterval(() => this.#levels(), Math.min(3000, Math.max(100, interval))) : undefined;
  }

  async #quality(): Promise<void> {
    const room = this.room();
    if (!room || (room.publishers.size === 0 && room.players.size === 0)) {
      this.rest();
      return;
    }
    for (const publisher of [...room.publishers.values()]) {
      const report = await publisher.report();
      const stats = report && publishStats(report, this.#growth, `push ${publisher.streamID}`, publisher);
      if (!stats || publisher.state !== 'PUBLISHING') continue;
      this.#latest.set(`push ${publisher.streamID}`, stats);
      this.events.emit('publishQualityUpdate', publisher.streamID, stats);
    }
    const played = await room.players.report();
    for (const { entry, s } of played?.streams ?? []) {
      const stats = playStats(played!.report, s, this.#growth, `pull ${entry.streamID}`, entry);
      if (entry.state !== 'PLAYING') continue;
      this.#latest.set(`pull ${entry.streamID}`, stats);
      this.events.emit('playQualityUpdate', entry.streamID, stats);
    }
  }

  async #levels(): Promise<void> {
    const room = this.room();
    if (!room) return;
    const levels: ZegoSoundLevel[] = [];
    for (const publisher of [...room.publishers.values()]) {
      const report = await publisher.report();
      for (const s of report ? entriesOf(report) : []) {
        if (s.type !== 'media-source' || s.kind !== 'audio') continue;
        levels.push({ streamID: publisher.streamID, soundLevel: publisher.muted ? 0 : soundLevel(s.audioLevel), type: 'push' });
      }
    }
    const captured = levels[0]?.soundLevel;
    const played = await room.players.report();
    for (const { entry, s } of played?.streams ?? []) {
      levels.push({ streamID: entry.streamID, soundLevel: entry.muted ? 0 : soundLevel(s.audioLevel), type: 'pull' });
    }
    if (levels.length > 0) this.events.emit('soundLevelUpdate', levels);
    if (captured !== undefined) this.events.emit('capturedSoundLevelUpdate', captured);
  }
}
