// The place of recordings: the list, or one of them. It is loaded when somebody
// first goes there.

import { List } from './list';
import { Detail } from './recording';
import './recordings.css';

export interface Props {
  /** A recording's id; empty for the list. */
  chosen: string;
  failed: (e: unknown) => void;
  ok: () => void;
}

export default function Recordings({ chosen, failed, ok }: Props) {
  return chosen ? <Detail key={chosen} id={chosen} failed={failed} ok={ok} /> : <List failed={failed} ok={ok} />;
}
