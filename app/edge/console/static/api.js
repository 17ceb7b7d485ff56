// Speaks HTTP with the server: answers as JSON, errors as RFC 9457 problems, streams as server-sent
// events. It does not know who is signed in, nor what the answers mean.

const EVENT_CHARS_MAX = 8 * 1024 * 1024;

/** What the server refused, in its own words; `hint` is the mend. */
export class ApiError extends Error {
  constructor({ message, code = "", hint = "", status = 0 }) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.status = status;
  }
}

/** The response, when it is a good one; throws ApiError otherwise, also when the server cannot be reached. */
export async function request(path, { token = "", body, signal, accept, method, silenceMs = 0 } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (accept) headers.Accept = accept;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const limit = silenceMs ? AbortSignal.any([AbortSignal.timeout(silenceMs), ...(signal ? [signal] : [])]) : signal;
  let response;
  try {
    response = await fetch(path, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: limit,
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError({ message: "The server cannot be reached.", code: "unreachable", hint: "Is it still running?" });
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const told = await response.json().catch(() => ({}));
  const message = told.detail || `The server answered ${response.status}.`;
  return new ApiError({ message, code: told.code, hint: told.hint, status: response.status });
}

/** The events of a stream as {event, data}, until it ends. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const parts = text.split("\n\n");
      text = parts.pop();
      if (text.length > EVENT_CHARS_MAX) throw new ApiError({ message: "An event of the stream is too large." });
      for (const part of parts) yield parse(part);
    }
  } finally {
    reader.cancel().catch(() => {}); // The stream may have failed already: then there is nothing to cancel.
  }
}

function parse(part) {
  let event = "message";
  const data = [];
  for (const line of part.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5));
  }
  return { event, data: data.length ? JSON.parse(data.join("\n")) : null };
}
