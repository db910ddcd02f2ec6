// The place of recordings: the list, or one of them. It is loaded when somebody
// first goes there.

import type { PlaceProps } from '../places';
import { List } from './list';
import { Detail } from './recording';
import './recordings.css';

export type Props = Omit<PlaceProps, 'chosen'>;

/** What is chosen is ID or ID/SECONDS, an instant of it; nothing is the list. */
export default function Recordings({ chosen, failed, ok }: PlaceProps) {
  const [id = '', instant] = chosen.split('/');
  return id ? <Detail key={id} id={id} instant={Number(instant) || 0} failed={failed} ok={ok} /> : <List failed={failed} ok={ok} />;
}
