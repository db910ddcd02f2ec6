// The REST API as the console uses it; /openapi.json describes all of it. Every
// call carries the key; files and live sound are fetched by the browser itself,
// which shows the session's cookie.

const KEY = 'api-key';

/** What a refused call rejects with: RFC 9457. */
export class Refused extends Error {
  constructor(readonly status: number, detail: string) {
    super(detail);
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? '',
  set: (value: string) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

export async function ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method, headers: { ...headers, Authorization: `Bearer ${key.get()}`, ...(body ? { 'Content-Type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
  } catch {
    throw new Refused(0, 'The daemon does not answer.');
  }
  if (answer.ok) return answer;
  throw await problemOf(answer);
}

/** What an answer says of why it is refused. */
export async function problemOf(answer: Response): Promise<Refused> {
  const problem = await answer.json().catch(() => ({}));
  const errors = (problem.errors ?? []).map((e: { field?: string; message?: string }) => `${e.field ?? ''} ${e.message ?? ''}`.trim());
  return new Refused(answer.status, [problem.detail || problem.title || answer.statusText, ...errors].join('; '));
}

export async function get<T>(path: string): Promise<T> {
  return (await ask('GET', path)).json();
}
