// Requests to the server that this page came from. Addresses are relative: a proxy may serve the page below a path.
import { events } from "./sse.js";
import { key } from "./store.js";

const silence = 75_000; // ms; a stream that waits sends a comment every 15 s, so that the line must be dead by then

/** Failure is what a request ended with, in words for people. kind: network, broken, key, busy, loading or refused. */
export class Failure extends Error {
  constructor(kind, message, more = {}) {
    super(message);
    Object.assign(this, { kind, status: 0, param: null, code: null, retryAfter: 0 }, more);
  }
}

const address = (path) => new URL(path, document.baseURI);

function headers() {
  const all = { "Content-Type": "application/json" };
  if (key.get()) all.Authorization = `Bearer ${key.get()}`;
  return all;
}

async function request(path, init) {
  let response;
  try {
    response = await fetch(address(path), { cache: "no-store", credentials: "same-origin", redirect: "error", ...init });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("network", "The server cannot be reached. Is it running, and is this device online?");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  let error = null;
  try {
    error = (await response.json()).error;
  } catch {
    // not from our server: a proxy's page, perhaps
  }
  const plain = `The server answered with status ${response.status}, which does not come from the model server itself.`;
  const message = typeof error?.message === "string" ? error.message : plain;
  const kind = { 401: "key", 429: "busy", 502: "network", 503: "loading", 504: "network" }[response.status] ?? "refused";
  return new Failure(kind, message, {
    status: response.status,
    param: error?.param ?? null,
    code: error?.code ?? null,
    retryAfter: seconds(response.headers.get("Retry-After")),
  });
}

// seconds reads Retry-After, which is a number or a date.
function seconds(value) {
  if (!value) return 0;
  const n = /^\d+$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - Date.now()) / 1000);
  return Number.isFinite(n) ? Math.min(Math.max(n, 0), 3600) : 0;
}

/** models lists what is served; it fails without a key where one is needed. */
export async function models() {
  const { data } = await (await request("v1/models", { headers: headers() })).json();
  return Array.isArray(data) ? data : [];
}

/** health tells the server's state, which it also does while it is unavailable. */
export async function health() {
  try {
    const response = await fetch(address("v1/health"), { cache: "no-store" });
    const body = await response.json();
    return typeof body?.status === "string" ? body : { status: "unavailable" };
  } catch {
    return { status: "unreachable" };
  }
}

/** complete asks for an answer and hands every chunk of it to take. */
export async function complete(body, signal, take) {
  const dead = new AbortController();
  const response = await request("v1/chat/completions", {
    method: "POST",
    headers: headers(),
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal: AbortSignal.any([signal, dead.signal]),
  });
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => dead.abort(), silence);
  };
  const stream = events(response.body, alive);
  try {
    for (alive(); ; ) {
      const next = await stream.next().catch(() => ({ done: true }));
      signal.throwIfAborted();
      if (next.done) throw new Failure("broken", "The connection broke off before the answer was complete.");
      if (next.value === "[DONE]") return;
      take(chunk(next.value));
    }
  } finally {
    clearTimeout(timer);
    stream.return();
  }
}

function chunk(data) {
  let value;
  try {
    value = JSON.parse(data);
  } catch {
    throw new Failure("broken", "The answer is not what this page understands. Is something between it and the server?");
  }
  if (!value.error) return value;
  const kind = value.error.type === "unavailable_error" ? "loading" : "refused";
  throw new Failure(kind, String(value.error.message), { param: value.error.param, code: value.error.code });
}
