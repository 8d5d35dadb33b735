// Ask the server: which models there are, and what they say of a picture.

const PATIENCE = 2; // further tries where the model is busy

/** What went wrong: `key` names the sentence of the page, `detail` is the server's own reason. */
export class Trouble extends Error {
  constructor(key, detail = "") {
    super(detail || key);
    this.key = key;
    this.detail = detail;
  }
}

const KEYS = { 408: "slow", 409: "unfit", 507: "unkept", 401: "locked", 403: "locked", 413: "large", 429: "busy", 503: "busy", 504: "slow" };
const PICTURE_FAULTS = [400, 415, 422];

let token = new URLSearchParams(location.hash.slice(1)).get("token"); // the part of an address that is never sent

/** Show the server this token from now on. */
export const useToken = (given) => { token = given; };

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

/** Send a request, with the token; return the response and the JSON in it. */
const request = async (address, options, seconds) => {
  if (token && /[^ -~]/.test(token)) throw new Trouble("locked"); // no header can carry it
  const limit = new AbortController();
  const giveUp = () => limit.abort();
  const timer = setTimeout(giveUp, 1000 * seconds);
  options.signal?.addEventListener("abort", giveUp);
  try {
    const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
    const response = await fetch(address, { ...options, headers, signal: limit.signal, cache: "no-store" });
    const isImage = response.headers.get("Content-Type")?.startsWith("image/");
    const answer = isImage ? await response.blob() : await response.json().catch(() => ({}));
    return { response, answer };
  } catch (error) {
    if (options.signal?.aborted) throw error; // nobody waits for it any more
    throw new Trouble(limit.signal.aborted ? "slow" : "lost");
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", giveUp);
  }
};

/** Return what a server says at an address, from JSON, or an image as a blob; `body` is sent where there is one. */
export const ask = async (address, { method = "GET", body, signal, seconds = 30 } = {}) => {
  const json = body !== undefined && !(body instanceof Blob);
  const headers = json ? { "Content-Type": "application/json" } : {};
  const { response, answer } = await request(address, { method, signal, headers, body: json ? JSON.stringify(body) : body }, seconds);
  if (!response.ok) throw troubleOf(response.status, answer);
  return answer;
};

const troubleOf = (status, answer) => {
  const detail = typeof answer.error === "string" ? answer.error : "";
  return new Trouble(PICTURE_FAULTS.includes(status) ? "unreadable" : KEYS[status] ?? "broken", detail);
};

/** Return the models: name, kind, backbone, classes or vocab_size, scores, language. */
export const fetchModels = () => ask("v1/models", { seconds: 15 });

/** Return what a model says of a picture; a busy model is asked again after the time it names. */
export const predict = async (name, blob, { explain = false, signal, seconds = 60 } = {}) => {
  const address = `v1/predict?model=${encodeURIComponent(name)}&explain=${explain}`;
  const options = { method: "POST", body: blob, headers: { "Content-Type": blob.type || "application/octet-stream" }, signal };
  for (let tries = 0; ; tries += 1) {
    const { response, answer } = await request(address, options, seconds);
    if (response.ok) {
      const record = answer.results?.[0];
      if (!record || record.error) throw new Trouble("unreadable", record?.error);
      return record;
    }
    if (response.status !== 503 || tries === PATIENCE) throw troubleOf(response.status, answer);
    await pause(1000 * Math.min(3, Number(response.headers.get("Retry-After")) || 1));
    if (signal?.aborted) throw new DOMException("", "AbortError");
  }
};
