// The page: a lobby, or the table of the game that the address names (?game=ID).
import { Board } from "./board.js";
import { Position, tell } from "./position.js";
import { Live, Problem, as, ask, me } from "./wire.js";

const $ = (selector) => document.querySelector(selector);
const other = (color) => (color === "white" ? "black" : "white");
const title = (word) => word.charAt(0).toUpperCase() + word.slice(1).replaceAll("_", " ");

// Rules under which a move does more to the board than this page knows: it asks what came of it.
const EXPLODING = new Set(["atomic", "crazyhouse"]);

const id = new URLSearchParams(location.search).get("game");
let game = null; // as GET /games/{id} tells it, kept up to date by events
let line = []; // the moves in SAN
let position = null;
let presence = null;
let flipped = false;
let offset = 0; // the server's clock minus ours, in ms
let live = null;
let sure = 0; // until when a second click on Resign counts
let board = null;

function seat() {
  const user = me()?.id;
  return ["white", "black"].find((color) => user && game?.[color]?.id === user) ?? null;
}

function note(text = "") {
  document.querySelectorAll(".note").forEach((place) => (place.textContent = text));
}

async function trying(action) {
  try {
    note();
    await action();
  } catch (error) {
    note(error instanceof Problem ? error.message : "The server can't be reached. Try again.");
  }
}

// --- what is known ------------------------------------------------------------------------------

function setGame(found) {
  if (game && found.seq < game.seq) return;
  game = found;
  offset = Date.parse(game.now) - Date.now();
  retell();
  render();
}

async function refresh() {
  setGame(await ask("GET", `/games/${id}${game && EXPLODING.has(game.variant) ? "?san=1" : ""}`));
}

// Tell the game again from its start: it's short, and there is one way only to get a position.
function retell() {
  if (EXPLODING.has(game.variant)) {
    position = new Position(game.fen, game.variant);
    if (!game.san) trying(refresh);
    line = game.san ?? game.moves;
  } else ({ line, position } = tell(game));
}

function onMove(event) {
  game.moves.length = event.ply;
  game.moves.push(event.uci);
  game.turn = other(event.by);
  game.offers = game.offers.filter((offer) => offer.type === "draw" && offer.by === event.by);
  if (game.clock) {
    const { white_ms = game.clock.white_ms, black_ms = game.clock.black_ms } = event;
    const running = game.moves.length >= 2 ? game.turn : null;
    Object.assign(game.clock, { white_ms, black_ms, running, at: event.at });
  }
  board.select(null);
  retell();
}

function onEvent(event) {
  if (!game || event.seq <= game.seq) return;
  if (event.seq > game.seq + 1) return void live.reopen();
  game.seq = event.seq;
  const offered = /^(Draw|Takeback|Rematch)(Offered|Declined)$/.exec(event.type);
  if (event.type === "MovePlayed" && !EXPLODING.has(game.variant)) onMove(event);
  else if (offered?.[2] === "Offered") {
    game.offers.push({ type: offered[1].toLowerCase(), by: event.by, offer: event.seq });
  } else if (offered) game.offers = game.offers.filter((offer) => offer.offer !== event.offer);
  else if (event.type === "GameEnded") {
    Object.assign(game, { status: "ended", winner: event.winner ?? null, termination: event.termination });
    trying(refresh); // for the clocks' last values
  } else if (event.type === "RematchAgreed") {
    Object.assign(game, { rematch: event.next, offers: [] });
    sessionStorage.setItem("announced", event.next);
    if (seat()) location.assign(`/?game=${event.next}`);
  } else trying(refresh); // rare, or needs names
  if (!EXPLODING.has(game.variant)) retell();
  render();
}

function hear(frame) {
  if (frame.type === "snapshot") setGame(frame.state);
  else if (frame.type === "presence") {
    presence = frame;
    render();
  } else if (frame.type === "rejected") {
    note(frame.detail || title(frame.code));
    board.select(null);
  } else if (frame.seq && !["resumed", "accepted"].includes(frame.type)) onEvent(frame);
}

// --- what is shown ------------------------------------------------------------------------------

function time(ms) {
  const left = Math.max(0, ms);
  const days = Math.floor(left / 86_400_000);
  const seconds = left < 10_000 ? Math.floor(left / 100) / 10 : Math.ceil(left / 1000);
  const pad = (number) => String(number).padStart(2, "0");
  if (days) return `${days}d ${Math.floor((left % 86_400_000) / 3_600_000)}h`;
  if (left < 10_000) return `0:0${seconds.toFixed(1)}`;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`;
}

function tick() {
  if (!game?.clock) return;
  for (const [place, color] of places()) {
    const runs = game.status === "started" && game.clock.running === color;
    const spent = runs ? Math.max(0, Date.now() + offset - Date.parse(game.clock.at)) : 0;
    const left = game.clock[`${color}_ms`] - spent;
    const shown = $(`#${place} time`);
    shown.textContent = time(left);
    shown.classList.toggle("low", runs && left < 20_000);
  }
}

function places() {
  const below = (seat() === "black") !== flipped ? "black" : "white";
  return [["top", other(below)], ["bottom", below]];
}

function renderPlayers() {
  for (const [place, color] of places()) {
    const player = game[color];
    const you = color === seat() ? " (you)" : "";
    $(`#${place} b`).textContent = player ? `${player.name ?? player.id}${you}` : "Open seat";
    $(`#${place}`).dataset.color = color;
    $(`#${place}`).classList.toggle("turn", game.status === "started" && game.turn === color);
    const here = player && presence?.[color];
    $(`#${place} .presence`).classList.toggle("here", Boolean(here));
    $(`#${place} .presence`).title = here ? "connected" : "away";
    $(`#${place} time`).hidden = !game.clock;
  }
  const watchers = presence ? presence.watchers - presence.white - presence.black : 0;
  $("#watchers").textContent = watchers > 0 ? `${watchers} watching` : "";
}

function renderMoves() {
  const list = $("#moves");
  const rows = [];
  const first = (game.initial_fen?.split(" ")[1] ?? "w") === "b" ? 1 : 0;
  for (let i = -first; i < line.length; i += 2) {
    const row = document.createElement("li");
    for (const san of [line[i] ?? "…", line[i + 1] ?? ""]) {
      row.append(Object.assign(document.createElement("span"), { textContent: san }));
    }
    rows.push(row);
  }
  if (list.textContent === rows.map((row) => row.textContent).join("")) return;
  list.replaceChildren(...rows);
  list.scrollTop = list.scrollHeight;
}

function renderOffer() {
  const mine = seat();
  const offer = game.offers.find(({ by }) => mine && by !== mine);
  const own = game.offers.find(({ by }) => by === mine);
  const words = { draw: ["offer", "a draw"], takeback: ["ask", "to take back a move"], rematch: ["offer", "a rematch"] };
  const [verb, what] = words[(offer ?? own)?.type] ?? [];
  $("#offer").hidden = !offer && !own;
  $("#offer span").textContent = offer
    ? `Your opponent ${verb}s ${what}.`
    : `You ${verb}ed ${what}.`;
  const [accept, decline] = $("#offer").querySelectorAll("button");
  Object.assign(accept, { textContent: "Accept", hidden: !offer });
  Object.assign(decline, { textContent: "Decline", hidden: !offer });
  const answer = (accepted) => () => live.send(offer.type, { accept: accepted, offer: offer.offer });
  [accept.onclick, decline.onclick] = [answer(true), answer(false)];
}

function renderActions() {
  const both = game.moves.length >= 2;
  const playing = game.status === "started" && seat() !== null;
  const shown = {
    takeback: playing && game.moves.length > 0, draw: playing && both, resign: playing && both,
    abort: seat() !== null && game.status !== "ended" && !both,
    rematch: seat() !== null && game.status === "ended" && Boolean(game.white && game.black) && !game.rematch,
  };
  for (const button of document.querySelectorAll("[data-act]")) button.hidden = !shown[button.dataset.act];
  $("[data-act=resign]").textContent = Date.now() < sure ? "Really resign?" : "Resign";
}

function renderBanner() {
  const ended = game.status === "ended";
  const { winner, termination } = game;
  const result = winner ? `${title(winner)} wins` : termination === "aborted" ? "No result" : "Draw";
  $("#banner").hidden = !ended;
  $("#banner").textContent = ended ? `${result} · ${title(termination)}` : "";
  const next = { hidden: !game.rematch, href: `/?game=${game.rematch}` };
  Object.assign($("#next"), next, { textContent: seat() ? "Go to the rematch" : "Watch the rematch" });
  const turn = game.status === "started" && game.turn === seat();
  document.title = `${ended ? result : turn ? "Your move" : "Game"} · gameshard`;
}

function renderSeats() {
  const free = ["white", "black"].find((color) => !game[color]);
  const open = game.status === "open" && free !== undefined;
  $("#invite").hidden = !(open && seat());
  $("#share").value = location.href;
  $("#join").hidden = !open || seat() !== null;
  $("#join button").textContent = `Join as ${title(free ?? "")}`;
}

function render() {
  if (!game) return;
  $("#table").hidden = false;
  const mine = seat();
  board.show({
    position,
    below: places()[1][1],
    last: game.moves.at(-1) ?? "",
    mine: game.status === "started" && game.turn === mine ? mine : null,
    kings: game.variant === "antichess",
    check: position.inCheck(position.white),
  });
  for (const part of [renderPlayers, renderMoves, renderOffer, renderActions, renderBanner, renderSeats, tick]) part();
}

// --- what people do -----------------------------------------------------------------------------

function act(name) {
  note();
  if (name === "resign" && Date.now() > sure) {
    sure = Date.now() + 3000;
    setTimeout(render, 3050);
    return render();
  }
  sure = 0;
  return live.send(name);
}

async function create(form) {
  const { name, color, clock, variant } = Object.fromEntries(new FormData(form));
  const [initial, increment] = clock.split("+").map(Number);
  const terms = { kind: "chess", variant, color, clock: clock ? { initial, increment } : null };
  const made = await as(name.trim(), () => ask("POST", "/games", terms));
  location.assign(`/?game=${made.id}`);
}

async function join(form) {
  const name = new FormData(form).get("name").trim();
  setGame(await as(name, () => ask("POST", `/games/${id}/join`, {})));
  live.reopen(); // as a player
}

function connection(state) {
  const words = {
    live: "Live",
    waiting: "Connection lost, trying again …",
    early: "The game is being set up …",
    gone: "There is no such game.",
  };
  Object.assign($("#link"), { textContent: words[state] }).dataset.state = state;
}

function sit() {
  board = new Board($("#board"), $("#promotion"), (uci) => {
    note();
    live.send("move", { uci, ply: game.moves.length });
  });
  const announced = sessionStorage.getItem("announced") === id;
  live = new Live(id, { hear, show: connection, seq: () => game?.seq ?? null, announced });
  setInterval(tick, 100);
  $("#flip").onclick = () => {
    flipped = !flipped;
    render();
  };
  $("#copy").onclick = async () => {
    $("#share").select();
    await navigator.clipboard?.writeText($("#share").value);
    $("#copy").textContent = "Copied";
  };
  for (const button of document.querySelectorAll("[data-act]")) button.onclick = () => act(button.dataset.act);
}

for (const [form, action] of [[$("#create"), create], [$("#join"), join]]) {
  form.elements.name.value = me()?.name ?? localStorage.getItem("name") ?? "";
  form.onsubmit = (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    trying(() => action(form)).finally(() => (button.disabled = false));
  };
}
$("#lobby").hidden = Boolean(id);
if (id) sit();
