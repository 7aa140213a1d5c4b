// The board as a person sees and touches it: squares are buttons, a move is two clicks.
import { SQUARES, isWhite } from "./position.js";

const NAMES = { p: "pawn", n: "knight", b: "bishop", r: "rook", q: "queen", k: "king" };
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -8, ArrowDown: 8 };

function piece(sign) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 45 45");
  svg.setAttribute("class", `piece ${isWhite(sign) ? "white" : "black"}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `/web/pieces.svg#${sign.toLowerCase()}`);
  svg.append(use);
  return svg;
}

export function label(square, sign) {
  return sign ? `${square} ${isWhite(sign) ? "white" : "black"} ${NAMES[sign.toLowerCase()]}` : `${square} empty`;
}

export class Board {
  #view = null;
  #chosen = null;
  #cells = new Map();

  // `move(uci)` is called with what the person wants to play.
  constructor(grid, dialog, move) {
    Object.assign(this, { grid, dialog, move });
    for (let row = 0; row < 8; row += 1) {
      const line = grid.appendChild(document.createElement("div"));
      line.setAttribute("role", "row");
      for (const square of SQUARES.slice(row * 8, row * 8 + 8)) {
        const cell = line.appendChild(document.createElement("button"));
        cell.setAttribute("role", "gridcell");
        cell.classList.toggle("dark", (square.charCodeAt(0) + Number(square[1])) % 2 === 0);
        cell.onclick = () => this.#click(cell.dataset.square);
        cell.tabIndex = row === 7 && square[0] === "a" ? 0 : -1;
      }
    }
    grid.onkeydown = (event) => this.#walk(event);
  }

  // Show `position` from the side of `below`; `mine` is the colour that may be moved now, `kings`
  // says that pawns may become kings.
  show(view) {
    this.#view = view;
    const order = view.below === "white" ? SQUARES : SQUARES.toReversed();
    const king = view.check ? view.position.find(view.position.white ? "K" : "k") : null;
    const marks = view.last ? [view.last.slice(0, 2), view.last.slice(2, 4)] : [];
    this.#cells.clear();
    [...this.grid.querySelectorAll("button")].forEach((cell, i) => {
      const square = order[i];
      const sign = view.position.at.get(square) ?? "";
      this.#cells.set(square, cell);
      if (cell.dataset.square !== square || cell.dataset.piece !== sign) {
        cell.replaceChildren(...(sign ? [piece(sign)] : []));
        cell.setAttribute("aria-label", label(square, sign));
        Object.assign(cell.dataset, { square, piece: sign });
      }
      cell.dataset.file = i >= 56 ? square[0] : "";
      if (i % 8 === 0) cell.parentElement.dataset.rank = square[1];
      cell.classList.toggle("moved", marks.includes(square));
      cell.classList.toggle("check", square === king);
      cell.classList.toggle("own", Boolean(sign) && this.#own(square));
    });
    this.#hint();
  }

  select(square) {
    this.#chosen = square;
    if (this.#view) this.#hint();
  }

  #own(square) {
    const sign = this.#view.position.at.get(square);
    return Boolean(sign && this.#view.mine) && isWhite(sign) === (this.#view.mine === "white");
  }

  #targets() {
    if (!this.#chosen || !this.#own(this.#chosen)) return [];
    return this.#view.position.targets(this.#chosen);
  }

  #hint() {
    const targets = new Set(this.#targets());
    for (const [square, cell] of this.#cells) {
      cell.classList.toggle("target", targets.has(square));
      cell.setAttribute("aria-selected", String(square === this.#chosen));
    }
  }

  async #click(square) {
    const from = this.#chosen;
    if (from && from !== square && this.#own(from)
      && (!this.#own(square) || this.#targets().includes(square))) {
      this.select(null);
      const promotion = await this.#promotion(from, square);
      if (promotion !== null) this.move(from + square + promotion);
    } else this.select(this.#own(square) && square !== from ? square : null);
  }

  // Return "q" and so on, "" if it's no promotion, null if the person thought better of it.
  #promotion(from, to) {
    const sign = this.#view.position.at.get(from);
    if (sign.toLowerCase() !== "p" || !["1", "8"].includes(to[1])) return "";
    if (!this.#view.position.targets(from).includes(to)) return "";
    const choices = this.#view.kings ? "qrbnk" : "qrbn";
    return new Promise((resolve) => {
      const pick = (choice) => {
        this.dialog.onclose = null;
        this.dialog.close();
        resolve(choice);
      };
      this.dialog.replaceChildren(...[...choices].map((choice) => {
        const button = document.createElement("button");
        button.append(piece(isWhite(sign) ? choice.toUpperCase() : choice));
        button.setAttribute("aria-label", NAMES[choice]);
        button.onclick = () => pick(choice);
        return button;
      }));
      this.dialog.onclose = () => resolve(null);
      this.dialog.showModal();
    });
  }

  #walk(event) {
    const cells = [...this.grid.querySelectorAll("button")];
    const at = cells.indexOf(document.activeElement);
    const step = STEPS[event.key];
    if (at < 0 || !step || (Math.abs(step) === 1 && (at % 8) + step !== ((at + step + 8) % 8))) return;
    const next = cells[at + step];
    if (!next) return;
    event.preventDefault();
    cells[at].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}
