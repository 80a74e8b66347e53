// What the service is asked, and the token that it is asked with.

const TOKEN = "prompt-resolver-token";
const PATIENCE_MS = 30_000;

/// An answer that is a failure: its reason, a message for people, and what is wrong with which field.
export class Failure extends Error {
  constructor(status, { reason = "", message = "", violations = [] } = {}) {
    super(message);
    Object.assign(this, { status, reason, violations });
  }
}

export const keepToken = (token) => sessionStorage.setItem(TOKEN, token);

export const get = (path) => ask(path, {});

export const post = (path, document) =>
  ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(document),
  });

async function ask(path, request) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...request.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  let response;
  try {
    response = await fetch(path, { ...request, headers, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new Failure(0, { reason: "UNREACHABLE", message: "the service does not answer" });
  }
  const document = await response.json().catch(() => ({}));
  if (!response.ok) throw new Failure(response.status, document.error);
  return document;
}
