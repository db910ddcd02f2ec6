// One rule, as it was when somebody looked at it: it is not set over what another
// has made of it since.

import { ask } from '../rest';
import type { Rule } from './types';

export interface Seen {
  rule: Rule;
  tag: string; // of this version; '' of a rule that is to be a new one
}

const path = (id: string) => `/v1/rules/${encodeURIComponent(id)}`;

export async function look(id: string): Promise<Seen> {
  const answer = await ask('GET', path(id));
  return { rule: await answer.json(), tag: answer.headers.get('ETag') ?? '' };
}

/** Sets the rule if it is still the one that was seen. */
export function put(id: string, terms: object, tag: string): Promise<Response> {
  return ask('PUT', path(id), terms, tag ? { 'If-Match': tag } : { 'If-None-Match': '*' });
}

export const remove = (id: string) => ask('DELETE', path(id));

/** A rule without what the daemon adds. */
export function body({ id, version, changedAt, changedBy, ...terms }: Rule, change: Partial<Rule>): object {
  void [id, version, changedAt, changedBy];
  return { ...terms, ...change };
}
