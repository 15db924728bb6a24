/** Why a call did not succeed, and whether trying it again can help. */
export class SyncError extends Error {
  constructor(message: string, readonly status: number, readonly code: string, readonly retryAfterMs = 0) {
    super(message);
    this.name = "SyncError";
  }

  /** The same request may succeed later: no connection, or a server that is away or busy. */
  get transient(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 425 || this.status === 429 || this.status >= 500;
  }
}

export interface TransportOptions {
  /** Origin of the server, e.g. https://data.example.com */
  url: string;
  /** The bearer token; `renew` is true when the last one was refused. */
  token: (renew: boolean) => Promise<string>;
  fetch?: typeof fetch;
  /** How long one call may take. */
  timeoutMs?: number;
}

/** JSON calls with a bearer token. A token that was refused is renewed once. */
export class Transport {
  constructor(private readonly options: TransportOptions) {}

  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    try {
      return await this.once<T>(method, path, body, await this.options.token(false));
    } catch (error) {
      if (!(error instanceof SyncError) || error.status !== 401) throw error;
      return this.once<T>(method, path, body, await this.options.token(true));
    }
  }

  private async once<T>(method: string, path: string, body: unknown, token: string): Promise<T> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), this.options.timeoutMs ?? 60000);
    try {
      const headers: Record<string, string> = { Authorization: `Bearer ${token}` };
      if (body !== undefined) headers["Content-Type"] = "application/json";
      const send = this.options.fetch ?? fetch;
      const answer = await send(this.options.url + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: stop.signal });
      if (answer.ok) return (await answer.json()) as T;
      throw await problemOf(answer);
    } catch (error) {
      if (error instanceof SyncError) throw error;
      throw new SyncError(error instanceof Error ? error.message : String(error), 0, "unreachable");
    } finally {
      clearTimeout(timer);
    }
  }
}

async function problemOf(answer: Response): Promise<SyncError> {
  const problem = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string };
  const seconds = Number(answer.headers.get("Retry-After"));
  return new SyncError(problem.detail ?? answer.statusText, answer.status, problem.code ?? "", Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0);
}
