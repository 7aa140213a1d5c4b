// A chess position that can play moves and name them. It knows the rules well enough to show
// hints and to write a game down; what is legal is for the server to say.

const file = (square) => square.charCodeAt(0) - 97;
const rank = (square) => Number(square[1]) - 1;
const name = (f, r) => String.fromCharCode(97 + f) + (r + 1);
export const SQUARES = Array.from({ length: 64 }, (_, i) => name(i % 8, 7 - (i >> 3)));
export const isWhite = (piece) => piece < "a";

const WINS = new Set(["checkmate", "variant_win"]);

// Tell a game (as GET /games/{id} has it) from its start: its moves in standard algebraic
// notation, and the position that they lead to.
export function tell({ initial_fen: fen, variant, moves, termination }) {
  const position = new Position(fen, variant);
  const line = moves.map((uci) => {
    const san = position.san(uci);
    position.play(uci);
    return san;
  });
  if (line.length && WINS.has(termination)) line.push(`${line.pop().replace("+", "")}#`);
  return { line, position };
}

export class Position {
  constructor(fen, variant = "standard") {
    this.variant = variant;
    const [rows, turn, castling = "-", passing = "-"] = fen.split(" ");
    this.at = new Map();
    this.white = turn === "w";
    this.passing = passing;
    rows.split("[")[0].split("/").slice(0, 8).forEach((row, i) => {
      let f = 0;
      for (const sign of row.replaceAll("~", "")) {
        if (sign >= "1" && sign <= "8") f += Number(sign);
        else this.at.set(name(f++, 7 - i), sign);
      }
    });
    this.rooks = new Set(castling === "-" ? [] : [...castling].map((sign) => this.#rook(sign)));
  }

  // The square of the rook that a letter of the FEN's castling field means (X-FEN too).
  #rook(sign) {
    const home = isWhite(sign) ? 0 : 7;
    if (!"KQkq".includes(sign)) return name(sign.toLowerCase().charCodeAt(0) - 97, home);
    const files = [0, 1, 2, 3, 4, 5, 6, 7].filter((f) => this.at.get(name(f, home)) === (home ? "r" : "R"));
    return name((sign.toLowerCase() === "k" ? files.at(-1) : files[0]) ?? 0, home);
  }

  copy() {
    const twin = new Position("8/8/8/8/8/8/8/8 w");
    return Object.assign(twin, this, { at: new Map(this.at), rooks: new Set(this.rooks) });
  }

  find(piece) {
    return SQUARES.find((square) => this.at.get(square) === piece);
  }

  #clear(from, to) {
    const [df, dr] = [Math.sign(file(to) - file(from)), Math.sign(rank(to) - rank(from))];
    for (let f = file(from) + df, r = rank(from) + dr; name(f, r) !== to; f += df, r += dr) {
      if (this.at.has(name(f, r))) return false;
    }
    return true;
  }

  // Whether the piece on `from` attacks `to`, whatever stands there.
  attacks(from, to) {
    const piece = this.at.get(from);
    const [df, dr] = [Math.abs(file(to) - file(from)), Math.abs(rank(to) - rank(from))];
    const straight = (df === 0) !== (dr === 0);
    const diagonal = df === dr && df > 0;
    switch (piece.toLowerCase()) {
      case "p": return df === 1 && rank(to) - rank(from) === (isWhite(piece) ? 1 : -1);
      case "n": return df * dr === 2;
      case "k": return Math.max(df, dr) === 1;
      case "r": return straight && this.#clear(from, to);
      case "b": return diagonal && this.#clear(from, to);
      default: return (straight || diagonal) && this.#clear(from, to);
    }
  }

  attacked(square, byWhite) {
    return [...this.at].some(([from, piece]) => isWhite(piece) === byWhite && this.attacks(from, square));
  }

  inCheck(white) {
    if (this.variant === "antichess") return false;
    const king = this.find(white ? "K" : "k");
    return king !== undefined && this.attacked(king, !white);
  }

  #reaches(from, to) {
    const piece = this.at.get(from);
    const taken = this.at.get(to);
    if (taken && isWhite(taken) === isWhite(piece)) return false;
    if (piece.toLowerCase() !== "p") return this.attacks(from, to);
    if (this.attacks(from, to)) return Boolean(taken) || to === this.passing;
    const steps = (rank(to) - rank(from)) * (isWhite(piece) ? 1 : -1);
    if (file(to) !== file(from) || taken || !this.#clear(from, to)) return false;
    return steps === 1 || (steps === 2 && rank(from) === (isWhite(piece) ? 1 : 6));
  }

  // Whether the move leaves its own king safe, and in racing kings the other one too. In atomic
  // the capture may explode what checks, so that's left to the server.
  #keepsPeace(uci, white) {
    if (this.variant === "atomic") return true;
    const after = this.copy().play(uci);
    return !after.inCheck(white) && !(this.variant === "racingKings" && after.inCheck(!white));
  }

  // Where the piece on `from` may go, as far as this page knows. Castling stands as the square where
  // the king ends (unless that's a step of its own, in Chess960) and as the rook's.
  targets(from) {
    const piece = this.at.get(from);
    const white = isWhite(piece);
    const found = SQUARES.filter((to) => to !== from && this.#reaches(from, to)
      && this.#keepsPeace(from + to, white));
    if (piece.toLowerCase() === "k") found.push(...this.#castlings(from, white));
    return found;
  }

  #castlings(from, white) {
    return [...this.rooks].filter((rook) => rank(rook) === rank(from) && isWhite(this.at.get(rook)) === white)
      .flatMap((rook) => {
        const [kingTo, rookTo] = file(rook) > file(from) ? [6, 5] : [2, 3];
        const span = [file(from), file(rook), kingTo, rookTo];
        for (let f = Math.min(...span); f <= Math.max(...span); f += 1) {
          const square = name(f, rank(from));
          if (square !== from && square !== rook && this.at.has(square)) return [];
        }
        const [low, high] = [Math.min(file(from), kingTo), Math.max(file(from), kingTo)];
        for (let f = low; f <= high; f += 1) if (this.attacked(name(f, rank(from)), !white)) return [];
        return Math.abs(kingTo - file(from)) > 1 ? [name(kingTo, rank(from)), rook] : [rook];
      });
  }

  #castlingRook(from, to) {
    const piece = this.at.get(from);
    if (piece?.toLowerCase() !== "k") return null;
    const other = this.at.get(to);
    if (other && other !== piece && isWhite(other) === isWhite(piece)) return to;
    if (Math.abs(file(to) - file(from)) !== 2) return null;
    return [...this.rooks].find((rook) => rank(rook) === rank(from)
      && Math.sign(file(rook) - file(from)) === Math.sign(file(to) - file(from))) ?? null;
  }

  // Play a move of the log (UCI) and return the position itself.
  play(uci) {
    const white = this.white;
    this.white = !white;
    const passing = this.passing;
    this.passing = "-";
    if (uci[1] === "@") {
      this.at.set(uci.slice(2), white ? uci[0] : uci[0].toLowerCase());
      return this;
    }
    const [from, to] = [uci.slice(0, 2), uci.slice(2, 4)];
    const piece = this.at.get(from);
    const rook = this.#castlingRook(from, to);
    this.at.delete(from);
    if (piece.toLowerCase() === "k") this.rooks.forEach((r) => rank(r) === (white ? 0 : 7) && this.rooks.delete(r));
    this.rooks.delete(from);
    this.rooks.delete(to);
    if (rook) {
      const sign = this.at.get(rook);
      this.at.delete(rook);
      const short = file(rook) > file(from);
      this.at.set(name(short ? 6 : 2, rank(from)), piece);
      this.at.set(name(short ? 5 : 3, rank(from)), sign);
      return this;
    }
    if (piece.toLowerCase() === "p") {
      if (to === passing && file(to) !== file(from)) this.at.delete(name(file(to), rank(from)));
      if (Math.abs(rank(to) - rank(from)) === 2) this.passing = name(file(to), (rank(to) + rank(from)) / 2);
    }
    const promoted = uci[4];
    this.at.set(to, promoted ? (white ? promoted.toUpperCase() : promoted) : piece);
    return this;
  }

  // Return the move in standard algebraic notation, as of before it's played.
  san(uci) {
    const after = this.copy().play(uci);
    const check = after.inCheck(after.white) ? "+" : "";
    if (uci[1] === "@") return uci + check;
    const [from, to] = [uci.slice(0, 2), uci.slice(2, 4)];
    const rook = this.#castlingRook(from, to);
    if (rook) return (file(rook) > file(from) ? "O-O" : "O-O-O") + check;
    const piece = this.at.get(from);
    const pawn = piece.toLowerCase() === "p";
    const takes = this.at.has(to) || (pawn && file(from) !== file(to)) ? "x" : "";
    const promotion = uci[4] ? `=${uci[4].toUpperCase()}` : "";
    if (pawn) return (takes ? from[0] : "") + takes + to + promotion + check;
    const rivals = SQUARES.filter((square) => square !== from && this.at.get(square) === piece
      && this.targets(square).includes(to));
    let origin = "";
    if (rivals.length && rivals.every((square) => square[0] !== from[0])) origin = from[0];
    else if (rivals.length) origin = rivals.every((square) => square[1] !== from[1]) ? from[1] : from;
    return piece.toUpperCase() + origin + takes + to + check;
  }
}
