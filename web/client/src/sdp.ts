// What is changed in session descriptions, and what is read from them.

/** Payload type of Opus in a session description, or null. */
function opusType(sdp: string): string | null {
  return /^a=rtpmap:(\d+) opus\/48000/im.exec(sdp)?.[1] ?? null;
}

/** Browsers support retransmission of audio but do not ask for it by themselves. */
export function askForNACK(sdp: string): string {
  const types = new Set([...sdp.matchAll(/^a=rtpmap:(\d+) opus\/48000/gim)].map((m) => m[1]!));
  for (const pt of types) {
    if (new RegExp(`^a=rtcp-fb:${pt} nack\\s*$`, 'm').test(sdp)) continue;
    sdp = sdp.replace(new RegExp(`^(a=rtpmap:${pt} opus/48000.*)(\\r?\\n)`, 'gim'), `$1$2a=rtcp-fb:${pt} nack$2`);
  }
  return sdp;
}

/** Sets parameters of Opus (RFC 7587, section 6.1) in every media section; null removes one. */
export function setOpusParameters(sdp: string, values: Record<string, string | number | null>): string {
  const pt = opusType(sdp);
  if (pt === null) return sdp;
  const write = (text: string): string => {
    const all = new Map<string, string>();
    for (const part of text.split(';')) {
      const at = part.indexOf('=');
      if (part.trim() !== '') all.set((at < 0 ? part : part.slice(0, at)).trim(), at < 0 ? '' : part.slice(at + 1).trim());
    }
    for (const [name, value] of Object.entries(values)) {
      if (value === null) all.delete(name);
      else all.set(name, String(value));
    }
    return [...all].map(([name, value]) => (value === '' ? name : `${name}=${value}`)).join(';');
  };
  const line = new RegExp(`^a=fmtp:${pt} (.*?)(\\r?)$`, 'gm');
  if (line.test(sdp)) return sdp.replace(line, (_, text: string, cr: string) => `a=fmtp:${pt} ${write(text)}${cr}`);
  return sdp.replace(new RegExp(`^(a=rtpmap:${pt} opus/48000.*)(\\r?\\n)`, 'gim'), `$1$2a=fmtp:${pt} ${write('')}$2`);
}

/** The session id of a description (RFC 8866, section 5.2): another one is another connection. */
export function originOf(sdp: string): string {
  return /^o=\S+ (\d+)/m.exec(sdp)?.[1] ?? '';
}
