"use strict";
// Questions to the server. The token came in the part of the address that browsers do not send.

const REQUESTS_AT_ONCE = 6;
const TOKEN_KEY = "dsp-batch-view-token";
const SECONDS_UNTIL_ANOTHER_TRY = 0.3; // where the server is busy and does not say how long

class ApiError extends Error {
  constructor(status, code, text) {
    super(text);
    Object.assign(this, { status, code });
  }
}

// Takes the token from the address, and out of it: an address is copied and shown to others.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1));
  const token = given.get("token");
  if (token === null) return;
  sessionStorage.setItem(TOKEN_KEY, token);
  given.delete("token");
  history.replaceState(null, "", `${location.pathname}${location.search}${given.size ? `#${given}` : ""}`);
}

function addressOf(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined) query.set(name, value);
  }
  return `api/${path}${query.size ? `?${query}` : ""}`;
}

// Asks a route and gives the answer of `fetch`. Where the server has its hands full, it is asked again.
async function ask(path, parameters, options = {}) {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  for (;;) {
    const answer = await fetch(addressOf(path, parameters), { ...options, headers });
    if (answer.ok) return answer;
    if (answer.status === 503 && !options.signal?.aborted) {
      const seconds = Number(answer.headers.get("Retry-After")) || SECONDS_UNTIL_ANOTHER_TRY;
      await new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
      continue;
    }
    const { code, error } = await answer.json().catch(() => ({}));
    throw new ApiError(answer.status, code ?? "unknown", error ?? `the server answered ${answer.status}`);
  }
}

async function askJson(path, parameters, options) {
  return (await ask(path, parameters, options)).json();
}

async function askPicture(path, parameters, options) {
  return createImageBitmap(await (await ask(path, parameters, options)).blob());
}

function isAborted(error) {
  return error.name === "AbortError";
}

// Runs at most some tasks at a time; those that are most wanted first, those that are no longer wanted never.
class Waiting {
  constructor(atOnce = REQUESTS_AT_ONCE) {
    Object.assign(this, { atOnce, running: 0, tasks: [] });
  }

  // `task` is {run, isWanted}: what to do, and whether it still counts when its turn comes.
  add(task) {
    this.tasks.push(task);
    this.next();
  }

  clear() {
    this.tasks.length = 0;
  }

  next() {
    while (this.running < this.atOnce && this.tasks.length) {
      const task = this.tasks.shift();
      if (!task.isWanted()) continue;
      this.running += 1;
      task.run().finally(() => { this.running -= 1; this.next(); });
    }
  }
}
