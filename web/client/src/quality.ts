// The figures of quality events and sound levels, out of getStats reports.

import type { ZegoPlayStats, ZegoPublishStats } from './types';

type Entry = Record<string, any>;

const round1 = (x: number): number => Math.round(x * 10) / 10;
const percent = (part: number, whole: number): number => (whole > 0 ? round1((100 * part) / whole) : 0);

export function entriesOf(report: RTCStatsReport): Entry[] {
  return [...(report as unknown as Map<string, Entry>).values()];
}

/** What grew since the last look, for counters that only grow. */
export class Growth {
  #last = new Map<string, Record<string, number>>();

  /** since is the time, ms, at which counters.ms began to count from zero. */
  of<K extends string>(key: string, since: number, counters: Record<K, number | undefined>): Record<K, number> {
    let before = this.#last.get(key);
    if (!before || before.since !== since) before = { ms: since }; // a new connection counts anew
    this.#last.set(key, { ...(counters as Record<string, number>), since });
    const grown = {} as Record<K, number>;
    for (const name of Object.keys(counters) as K[]) grown[name] = Math.max(0, (counters[name] || 0) - (before[name] || 0));
    return grown;
  }

  forget(key: string): void {
    this.#last.delete(key);
  }
}

/** ZEGO's grades: 0 excellent, 1 good, 2 medium, 3 bad, 4 dead. */
function grade(lostRate: number, roundTrip: number): number {
  const limits = [[2, 150], [6, 300], [15, 500], [50, 1500]] as const;
  const at = limits.findIndex(([lost, ms]) => lostRate < lost && roundTrip < ms);
  return at < 0 ? 4 : at;
}

/** ms, of the pair of candidates in use. */
function roundTripOf(report: RTCStatsReport): number {
  const pair = entriesOf(report).find((s) => s.type === 'candidate-pair' && s.nominated && typeof s.currentRoundTripTime === 'number');
  return pair ? pair.currentRoundTripTime * 1000 : 0;
}

function codecOf(report: RTCStatsReport, s: Entry): { audioCodec: string; audioSamplingRate: number } {
  const codec = s.codecId ? (report.get(s.codecId) as Entry | undefined) : undefined;
  return { audioCodec: codec ? codec.mimeType.replace(/^audio\//, '') : '', audioSamplingRate: codec ? codec.clockRate : 0 };
}

const NO_VIDEO = { videoBitrate: 0, videoFPS: 0, videoWidth: 0, videoHeight: 0, frameWidth: 0, frameHeight: 0 };

interface Media {
  muted: boolean;
  /** When it began to flow, ms. */
  since: number;
}

/** Out of a sender's report; null before the first packet. */
export function publishStats(report: RTCStatsReport, growth: Growth, key: string, { muted, since }: Media): ZegoPublishStats | null {
  const entry = (type: string) => entriesOf(report).find((s) => s.type === type && s.kind === 'audio');
  const out = entry('outbound-rtp');
  const remote = entry('remote-inbound-rtp');
  if (!out) return null;
  const lost = Math.max(0, remote?.packetsLost || 0);
  const grown = growth.of(key, since, { ms: out.timestamp, bytes: out.bytesSent, packets: out.packetsSent, lost });
  const seconds = grown.ms / 1000;
  const roundTripTime = round1(remote?.roundTripTime ? remote.roundTripTime * 1000 : roundTripOf(report));
  const lostRate = percent(grown.lost, grown.packets);
  return {
    audio: {
      audioBitrate: seconds > 0 ? round1((grown.bytes * 8) / 1000 / seconds) : 0,
      audioFPS: seconds > 0 ? round1(grown.packets / seconds) : 0,
      ...codecOf(report, out),
      audioJitter: round1((remote?.jitter || 0) * 1000),
      audioLevel: entry('media-source')?.audioLevel || 0,
      audioPacketsLost: lost,
      audioPacketsLostRate: lostRate,
      audioPacketsRetransmitted: out.retransmittedPacketsSent || 0,
      audioQuality: grade(lostRate, roundTripTime),
      muteState: muted ? '1' : '0',
    },
    video: { ...NO_VIDEO },
    roundTripTime,
    packetsLostRate: lostRate,
    totalRoundTripTime: roundTripTime,
  };
}

/** Out of one inbound-rtp entry of a report. */
export function playStats(report: RTCStatsReport, s: Entry, growth: Growth, key: string, { muted, since }: Media): ZegoPlayStats {
  const lost = Math.max(0, s.packetsLost || 0);
  const grown = growth.of(key, since, {
    ms: s.timestamp, bytes: s.bytesReceived, packets: s.packetsReceived, lost,
    samples: s.totalSamplesReceived, concealed: (s.concealedSamples || 0) - (s.silentConcealedSamples || 0),
    delay: s.jitterBufferDelay, emitted: s.jitterBufferEmittedCount,
  });
  const seconds = grown.ms / 1000;
  const roundTrip = roundTripOf(report);
  const buffered = grown.emitted > 0 ? (grown.delay / grown.emitted) * 1000 : 0;
  const lostRate = percent(grown.lost, grown.lost + grown.packets);
  return {
    audio: {
      audioBitrate: seconds > 0 ? round1((grown.bytes * 8) / 1000 / seconds) : 0,
      audioFPS: seconds > 0 ? round1(grown.packets / seconds) : 0,
      ...codecOf(report, s),
      audioJitter: round1((s.jitter || 0) * 1000),
      audioLevel: s.audioLevel || 0,
      audioPacketsLost: lost,
      audioPacketsLostRate: lostRate,
      audioCumulativeBreakRate: percent(grown.concealed, grown.samples),
      audioBufferDelay: round1(buffered),
      audioNackCount: s.nackCount || 0,
      audioQuality: grade(lostRate, roundTrip),
      muteState: muted ? '1' : '0',
    },
    video: { ...NO_VIDEO },
    roundTripTime: round1(roundTrip),
    peerToPeerDelay: round1(roundTrip + buffered),
    peerToPeerPacketLostRate: lostRate,
  };
}

/** Linear level (0 to 1) as ZEGO's 0 to 100: -60 dBov and less is 0, full scale 100. */
export function soundLevel(level: number | undefined): number {
  if (!level || level <= 0) return 0;
  return Math.round(Math.min(100, Math.max(0, 100 + (20 * Math.log10(level) * 100) / 60)));
}
