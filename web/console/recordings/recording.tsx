import { useEffect, useState } from 'preact/hooks';
import { LedgerBar } from '../ledger';
import { ask, get } from '../rest';
import { useRights } from '../rights';
import { clock, megabytes, when } from '../text';
import type { Props } from './index';
import { fileURL, nameOf, rowOf, type Manifest } from './manifest';
import type { Hole } from './overview';
import { Player } from './player';

export function Detail({ id, instant, failed, ok }: { id: string; instant: number } & Props) {
  const may = useRights();
  const [manifest, setManifest] = useState<Manifest | null>(null);
  const [broken, setBroken] = useState<Hole[]>([]);
  const path = `/v1/recordings/${encodeURIComponent(id)}`;
  useEffect(() => {
    get<Manifest>(path).then((m) => {
      setManifest(m);
      ok();
    }, failed);
  }, [id]);
  if (!manifest) return <p class="hint">Looking…</p>;
  const bytes = manifest.segments.reduce((sum, s) => sum + s.bytes, 0);
  const facts = [when(manifest.start), manifest.id, manifest.state, manifest.sealed ? 'sealed' : 'not sealed yet', megabytes(bytes)];
  return (
    <section class="card" aria-labelledby="recording-title">
      <p class="hint"><a href="#recordings">All recordings</a></p>
      <h2 id="recording-title">{manifest.room.roomID}</h2>
      <p class="hint">{facts.join(' · ')}{Object.entries(manifest.labels ?? {}).map(([k, v]) => ` · ${k}: ${v}`)}</p>
      {manifest.encryption ? (
        <p class="notice warning" id="encrypted">
          This recording is encrypted. The daemon cannot read it: whoever holds a key can play it after <code>mixdown decrypt</code>.
        </p>
      ) : may('recordings.play') ? (
        <Player manifest={manifest} instant={instant} broken={broken} failed={failed} />
      ) : <p class="hint" id="unheard">Your key may not hear recordings.</p>}
      <Verdict path={path} manifest={manifest} found={setBroken} failed={failed} />
      <h3>Streams</h3>
      <ul class="streams ledgers" aria-label="Streams">
        {manifest.streams.filter((s) => manifest.ledger[`${s.userID}/${s.streamID}`]).map((s) => {
          const name = nameOf(manifest, s.userID);
          return (
            <li key={`${s.userID}/${s.streamID}`}>
              <div class="person"><strong>{name}</strong><span class="note">{s.streamID}</span></div>
              <LedgerBar ledger={manifest.ledger[`${s.userID}/${s.streamID}`]!} name={name} />
            </li>
          );
        })}
      </ul>
      {may('recordings.play') ? <Files manifest={manifest} /> : null}
    </section>
  );
}

/** Has the daemon read all of the recording and say whether it is what was sealed. */
function Verdict({ path, manifest: m, found, failed }: { path: string; manifest: Manifest; found: (broken: Hole[]) => void; failed: (e: unknown) => void }) {
  const [state, setState] = useState<{ look: string; text: string; details: string[] }>({ look: '', text: '', details: [] });
  const verify = async () => {
    setState({ look: 'busy', text: 'Checking…', details: [] });
    try {
      const { intact, problems, notes = [] } = await (await ask('POST', `${path}/verify`)).json() as
        { intact: boolean; problems: { segment?: string; from?: string; to?: string; text: string }[]; notes?: string[] };
      const seconds = (time: string) => (Date.parse(time) - Date.parse(m.start)) / 1000;
      found(problems.filter((p) => p.from && p.to).map((p) => ({
        from: seconds(p.from!), to: seconds(p.to!), output: m.segments.find((s) => s.path === p.segment)?.output ?? '',
      })));
      setState({
        look: intact ? 'good' : 'error',
        text: intact ? 'Intact: every segment is there and is what was sealed.' : problems.length ? 'Broken:' : 'Not all of it could be checked:',
        details: [...problems.map((p) => [p.segment, p.text, p.from ? `(${when(p.from)} to ${when(p.to!)})` : ''].filter(Boolean).join(' ')), ...notes],
      });
    } catch (e) {
      setState({ look: '', text: '', details: [] });
      failed(e);
    }
  };
  return (
    <div class="verify">
      <button id="verify" type="button" onClick={verify} disabled={state.look === 'busy'}>Verify</button>
      <div id="verdict" role="status" class={state.look}>
        {state.text}
        {state.details.length ? <ul>{state.details.slice(0, 50).map((d) => <li key={d}>{d}</li>)}</ul> : null}
      </div>
    </div>
  );
}

/** Every file, to be taken away; made when somebody opens it, for there may be thousands. */
function Files({ manifest }: { manifest: Manifest }) {
  const [open, setOpen] = useState(false);
  const link = (path: string, note: string) => (
    <li key={path}>
      <a href={fileURL(manifest.id, path)} download={`${manifest.id}-${path.replaceAll('/', '-')}`}>{path}</a>
      <span class="note">{note}</span>
    </li>
  );
  const others = [{ path: 'manifest.json', bytes: 0 }, ...(manifest.sealed ? [{ path: 'manifest.json.sig', bytes: 0 }] : []), ...(manifest.files ?? [])];
  return (
    <details onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>Download</summary>
      {open ? (
        <>
          {manifest.outputs.map((o) => {
            const row = rowOf(manifest, o.id);
            return row.length ? (
              <div key={o.id}>
                <h4>{o.id}</h4>
                <ul class="files">{row.map((s) => link(s.path, `${clock(s.startSample / 48000)} · ${megabytes(s.bytes)}`))}</ul>
              </div>
            ) : null;
          })}
          <h4>About it</h4>
          <ul class="files">{others.map((f) => link(f.path, f.bytes ? megabytes(f.bytes) : ''))}</ul>
        </>
      ) : null}
    </details>
  );
}
