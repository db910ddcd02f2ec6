import { useEffect, useRef } from 'preact/hooks';

const LEAD = 0.15; // s between a frame's coming and its sounding: what the network may waver
const MOST = 0.6; // s of frames that wait at most; the daemon's clock and this one drift apart
const HEAD = 8; // bytes before the samples of a frame

interface Props {
  /** The address of a live mix or stream, as Ogg. */
  address: string;
  failed: (e: unknown) => void;
  /** The capture has ended, or the connection. */
  over: () => void;
}

/**
 * Plays something live out of its PCM frames: a fraction of a second after it
 * was said. An audio element with the Ogg stream would gather a dozen seconds
 * first.
 */
export function Listening({ address, failed, over }: Props) {
  const element = useRef<HTMLAudioElement>(null);
  useEffect(() => {
    const audio = new AudioContext({ sampleRate: 48000 });
    const out = audio.createMediaStreamDestination();
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}${address.replace(/\/live(?=$|\?)/, '/live/ws')}`);
    let channels = 2;
    let at = 0; // the context's time at which the next frame sounds
    let ended = false;
    const play = (data: ArrayBuffer) => {
      if (at - audio.currentTime > MOST) return;
      if (at < audio.currentTime) at = audio.currentTime + LEAD;
      const samples = new Int16Array(data, HEAD);
      const frame = audio.createBuffer(channels, samples.length / channels, 48000);
      for (let c = 0; c < channels; c++) {
        const channel = frame.getChannelData(c);
        for (let i = 0; i < channel.length; i++) channel[i] = samples[i * channels + c]! / 32768;
      }
      const source = new AudioBufferSourceNode(audio, { buffer: frame });
      source.connect(out);
      source.start(at);
      at += frame.duration;
    };
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => {
      if (typeof data !== 'string') return play(data);
      const said = JSON.parse(data);
      if (said.type === 'start') channels = said.channels;
    };
    socket.onclose = ({ wasClean }) => {
      if (ended) return;
      if (!wasClean) failed(new Error('There is nothing to hear: the live stream cannot be had, or broke.'));
      over();
    };
    element.current!.srcObject = out.stream;
    element.current!.play().catch(failed);
    audio.resume().catch(failed);
    return () => {
      ended = true;
      socket.close();
      audio.close().catch(() => {});
    };
  }, []);
  return <audio id="listening" class="visually-hidden" ref={element} data-address={address} />;
}
