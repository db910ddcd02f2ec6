import { useEffect, useState } from 'preact/hooks';
import type { Call } from './call';
import { explain } from './texts';

/** Which microphone is used; the browser tells names after one was allowed. */
export function MicrophoneChoice({ call }: { call: Call }) {
  const { microphones, microphone } = call.state;
  return (
    <select id="microphone" value={microphone} onChange={(e) => call.useMicrophone(e.currentTarget.value)}>
      <option value="">Default microphone</option>
      {microphones.map((m) => <option key={m.deviceID} value={m.deviceID}>{m.deviceName}</option>)}
    </select>
  );
}

/** The choice, and a look at what it hears, before a call. */
export function MicrophoneTest({ call }: { call: Call }) {
  const [testing, setTesting] = useState(false);
  const [level, setLevel] = useState(0);
  const { microphone } = call.state;
  useEffect(() => {
    if (!testing) return;
    const end = listen(microphone, setLevel, (error) => {
      setTesting(false);
      call.say(explain(error));
    });
    return () => {
      end();
      setLevel(0);
    };
  }, [testing, microphone]);
  return (
    <>
      <label for="microphone">Microphone</label>
      <div class="row">
        <MicrophoneChoice call={call} />
        <button id="test" type="button" aria-pressed={testing} onClick={() => setTesting(!testing)}>{testing ? 'Stop test' : 'Test'}</button>
      </div>
      {testing ? <Meter level={level} label="Level of your microphone" /> : <p class="hint">Joining uses your microphone.</p>}
    </>
  );
}

/** Level is 0 to 100. */
export function Meter({ level, label }: { level: number; label: string }) {
  return (
    <div class="meter" role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={level}>
      <span style={{ transform: `translateX(${level - 100}%)` }} />
    </div>
  );
}

/** Calls heard with the level of a microphone ten times a second, until the returned function is called. */
function listen(deviceId: string, heard: (level: number) => void, failed: (error: { errorCode: number }) => void): () => void {
  let end = () => {};
  let ended = false;
  const open = async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: deviceId ? { deviceId: { exact: deviceId } } : true });
    const audio = new AudioContext();
    const analyser = new AnalyserNode(audio, { fftSize: 2048 });
    audio.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, s) => sum + s * s, 0) / samples.length;
      heard(Math.round(Math.min(100, Math.max(0, 100 + (10 * Math.log10(power + 1e-12) * 100) / 60))));
    }, 100);
    end = () => {
      clearInterval(timer);
      for (const track of stream.getTracks()) track.stop();
      audio.close();
    };
    if (ended) end();
  };
  open().catch((e: Error) => failed({ errorCode: !navigator.mediaDevices ? 1103053 : e.name === 'NotAllowedError' ? 1103064 : 1103061 }));
  return () => {
    ended = true;
    end();
  };
}
