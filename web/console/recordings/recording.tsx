import { useEffect, useState } from 'preact/hooks';
import { LedgerBar } from '../ledger';
import { ask, get } from '../rest';
import { megabytes, when } from '../text';
import type { Props } from './index';
import { fileURL, type Manifest } from './manifest';
import { Player } from './player';

export function Detail({ id, failed, ok }: { id: string } & Omit<Props, 'chosen'>) {
  const [manifest, setManifest] = useState<Manifest | null>(null);
  const [verdict, setVerdict] = useState('');
  const path = `/v1/recordings/${encodeURIComponent(id)}`;
  useEffect(() => {
    get<Manifest>(path).then((m) => {
      setManifest(m);
      ok();
    }, failed);
  }, [id]);
  if (!manifest) return <p class="hint">Looking…</p>;
  const verify = async () => {
    setVerdict('Checking…');
    try {
      const { intact, problems } = await (await ask('POST', `${path}/verify`)).json();
      setVerdict(intact ? 'Intact: every segment is there and is what was sealed.' : `Broken: ${problems.map((p: { text?: string }) => p.text ?? JSON.stringify(p)).join('; ')}`);
    } catch (e) {
      setVerdict('');
      failed(e);
    }
  };
  return (
    <section class="card" aria-labelledby="recording-title">
      <p class="hint"><a href="#recordings">All recordings</a></p>
      <h2 id="recording-title">{manifest.room.roomID}</h2>
      <p class="hint">{when(manifest.start)} · {manifest.id} · {manifest.state}{manifest.sealed ? ', sealed' : ''}</p>
      <Player manifest={manifest} failed={failed} />
      <div class="buttons">
        <button id="verify" type="button" onClick={verify}>Verify</button>
        <span id="verdict" role="status">{verdict}</span>
      </div>
      <h3>Streams</h3>
      <ul class="streams ledgers" aria-label="Streams">
        {Object.entries(manifest.ledger).map(([name, ledger]) => (
          <li key={name}><div class="person"><strong>{name}</strong></div><LedgerBar ledger={ledger} name={name} /></li>
        ))}
      </ul>
      <details>
        <summary>Files</summary>
        <ul id="files">
          {manifest.segments.map((s) => (
            <li key={s.path}><a href={fileURL(id, s.path)} download={s.path.replaceAll('/', '-')}>{s.path}</a> <span class="note">{megabytes(s.bytes)}</span></li>
          ))}
        </ul>
      </details>
    </section>
  );
}
