// How the page talks to the server: HTTP for what happens once, a WebSocket for everything live.

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.status = status;
    this.code = body.code;
  }
}

// Ask the server; every refusal becomes a Problem. A token that isn't good any more is forgotten:
// reading goes on without one, whatever else needs somebody (see `as`).
export async function ask(method, path, body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (answer.status === 401 && token) {
    forget();
    if (method === "GET") return ask(method, path);
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, found);
  return found;
}

// Every tab is somebody of its own, so that two tabs can play each other.
export function me() {
  return JSON.parse(sessionStorage.getItem("user") ?? "null");
}

async function become(name) {
  if (me()?.name === name) return;
  sessionStorage.removeItem("token");
  const { token, user } = await ask("POST", "/tokens", { name });
  sessionStorage.setItem("token", token);
  sessionStorage.setItem("user", JSON.stringify(user));
  localStorage.setItem("name", name);
}

// Do something as `name`. If the token turns out to be bad nothing was done, so it's done anew.
export async function as(name, action) {
  await become(name);
  try {
    return await action();
  } catch (error) {
    if (error.status !== 401) throw error;
    await become(name);
    return action();
  }
}

export function forget() {
  sessionStorage.removeItem("token");
  sessionStorage.removeItem("user");
}

const SLOWEST = 8_000;
const PING = 10_000;
const PATIENCE = 8; // half a minute
let count = 0;

// One game's socket. It comes back by itself, asks for what it missed, and sends again what was
// not answered: every command carries an id, so none acts twice.
export class Live {
  #socket = null;
  #unanswered = new Map();
  #failures = 0;
  #closed = false;
  #timer = 0;
  #planned = false;
  #heard = 0;

  // `hear(frame)` gets every frame, `show(state)` "live", "waiting", "early" or "gone"; `seq()` is
  // the last event known, or null. A game that is `announced` may not be there yet.
  constructor(game, { hear, show, seq, announced = false }) {
    Object.assign(this, { game, hear, show, seq, announced });
    this.pulse = setInterval(() => this.#beat(), PING);
    window.addEventListener("online", () => this.reopen());
    this.#open();
  }

  #open() {
    const seq = this.seq();
    const url = new URL(`/ws/games/${this.game}`, location.href.replace(/^http/, "ws"));
    if (seq !== null) url.searchParams.set("after", seq);
    const token = sessionStorage.getItem("token");
    const socket = new WebSocket(url, token ? ["bearer", token] : []);
    this.#socket = socket;
    this.#heard = Date.now();
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    socket.onclose = ({ code }) => socket === this.#socket && this.#lost(code);
  }

  #take(frame) {
    this.#heard = Date.now();
    if (frame.type === "snapshot" || frame.type === "resumed") {
      this.#failures = 0;
      this.show("live");
      this.#unanswered.forEach((sent) => this.#socket.send(sent));
    }
    if (frame.id) this.#unanswered.delete(frame.id);
    if (frame.type === "reconnect") {
      this.#planned = true;
      this.#later(Math.random() * frame.after_ms);
    } else this.hear(frame);
  }

  #lost(code) {
    if (this.#closed) return;
    const missing = code === 4404;
    if (missing && !(this.announced && this.#failures < PATIENCE)) return this.show("gone");
    if (code === 4401) forget();
    this.show(missing ? "early" : "waiting");
    if (this.#planned) return; // its moment was drawn so that not everybody comes back at once
    this.#failures += 1;
    this.#later(Math.min(SLOWEST, 200 * 2 ** this.#failures) * (0.5 + Math.random() / 2));
  }

  #later(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.reopen(), delay);
  }

  #beat() {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (Date.now() - this.#heard > 2.5 * PING) this.reopen();
    else this.#socket.send('{"type":"ping"}');
  }

  // Leave the socket, if there is one, and take a new one: as another user, or after a gap.
  reopen() {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#planned = false;
    const old = this.#socket;
    this.#socket = null;
    old?.close();
    this.#open();
  }

  close() {
    this.#closed = true;
    clearInterval(this.pulse);
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  send(type, fields = {}) {
    const id = `c${Date.now().toString(36)}${(count += 1)}`;
    const frame = JSON.stringify({ type, id, ...fields });
    this.#unanswered.set(id, frame);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(frame);
  }
}
