import { Code, ZegoError } from './codes';
import type { ZegoDeviceInfo, ZegoMicrophone } from './types';

const CODES: Record<string, number> = {
  NotAllowedError: Code.MICROPHONE_DENIED,
  SecurityError: Code.MICROPHONE_DENIED,
  NotReadableError: Code.MICROPHONE_BUSY,
  AbortError: Code.MICROPHONE_BUSY,
  OverconstrainedError: Code.MICROPHONE_CONSTRAINTS,
  TypeError: Code.MICROPHONE_CONSTRAINTS,
};

function mediaDevices(): MediaDevices | undefined {
  return typeof navigator === 'object' ? navigator.mediaDevices : undefined;
}

export function microphoneAllowed(): boolean {
  return Boolean(mediaDevices()?.getUserMedia);
}

/** Opens the microphone; AEC, ANS and AGC are on unless switched off. */
export async function openMicrophone({ audioInput, channelCount, AEC, ANS, AGC }: ZegoMicrophone): Promise<MediaStream> {
  const devices = mediaDevices();
  if (!devices?.getUserMedia) {
    throw new ZegoError(Code.HTTPS_REQUIRED, 'the browser gives its microphone only to pages served by https or from localhost');
  }
  const audio: MediaTrackConstraints = {
    echoCancellation: AEC !== false,
    noiseSuppression: ANS !== false,
    autoGainControl: AGC !== false,
    channelCount: channelCount || 1,
  };
  if (audioInput) audio.deviceId = { exact: audioInput };
  try {
    return await devices.getUserMedia({ audio, video: false });
  } catch (e) {
    const { name, message } = e as Error;
    throw new ZegoError(CODES[name] || Code.MICROPHONE_FAILED, `${name}: ${message}`);
  }
}

/** The microphones there are; names are empty until one was allowed. */
export async function microphones(): Promise<ZegoDeviceInfo[]> {
  const all = await mediaDevices()?.enumerateDevices?.();
  return (all ?? []).filter((d) => d.kind === 'audioinput').map((d) => ({ deviceName: d.label, deviceID: d.deviceId }));
}

export function stopTracks(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

/** What createZegoStream returns. */
export class ZegoLocalStream {
  constructor(readonly stream: MediaStream) {}
}

/** The MediaStream behind what programs give as a local stream. */
export function mediaOf(stream: unknown): MediaStream | null {
  const media = stream instanceof ZegoLocalStream ? stream.stream : stream;
  return media && typeof (media as MediaStream).getAudioTracks === 'function' ? (media as MediaStream) : null;
}
