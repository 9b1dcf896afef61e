// Byte-pair encoding by the parts of a Hugging Face `tokenizer.json` that the export has checked.

const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+`;

export class Tokenizer {
  constructor({ normalizers, splitters, vocabulary, merges, added, before, after, ...model }, context) {
    Object.assign(this, { splitters, vocabulary, added, before, after, ...model, context });
    this.normalizers = normalizers.map(normalizer);
    this.end = after.at(-1);
    this.rank = new Map(merges.map((pair, place) => [pair.join("\n"), place]));
    this.bytes = byteLetters();
    this.known = new Map();
    this.patterns = splitters.map(({ pattern }) => pattern && new RegExp(regular(pattern), "gu"));
    this.words = new RegExp(GPT2, "gu");
  }

  // Ids of a sentence, cut to the context, the end token last.
  encode(sentence) {
    const room = this.context - this.before.length - this.after.length;
    const ids = this.#parts(sentence).flatMap((part) => (typeof part === "number" ? [part] : this.#text(part)));
    return [...this.before, ...ids.slice(0, room), ...this.after];
  }

  // Tokens that are written out in a sentence stand for themselves.
  #parts(sentence) {
    const raw = this.added.filter(({ normalized }) => !normalized);
    const clean = (text) => this.normalizers.reduce((kept, change) => change(kept), text);
    const later = this.added.filter(({ normalized }) => normalized);
    return cut(sentence, raw).flatMap((part) =>
      typeof part === "number" ? [part] : cut(clean(part), later.map((each) => ({ ...each, content: clean(each.content) }))),
    );
  }

  #text(text) {
    let pieces = [text];
    this.splitters.forEach((splitter, i) => {
      pieces = pieces.flatMap((piece) => this.#split(piece, splitter, this.patterns[i]));
    });
    return pieces.flatMap((piece) => this.#word(piece));
  }

  #split(piece, { kind, prefix, regex, behavior, invert }, pattern) {
    if (kind === "bytes") {
      const whole = prefix && !piece.startsWith(" ") ? ` ${piece}` : piece;
      const words = regex ? (whole.match(this.words) ?? []) : [whole];
      const encoder = new TextEncoder();
      return words.map((word) => [...encoder.encode(word)].map((byte) => this.bytes[byte]).join(""));
    }
    const pieces = [];
    let from = 0;
    const keep = (start, stop, matched) => {
      if (stop > start && (behavior === "isolated" || matched === Boolean(invert))) pieces.push(piece.slice(start, stop));
    };
    for (const found of piece.matchAll(pattern)) {
      keep(from, found.index, false);
      from = found.index + found[0].length;
      keep(found.index, from, true);
    }
    keep(from, piece.length, false);
    return pieces;
  }

  #word(word) {
    if (!word) return [];
    if (!this.known.has(word)) this.known.set(word, this.#merge(word));
    return this.known.get(word);
  }

  #merge(word) {
    const symbols = [...word];
    symbols[symbols.length - 1] += this.suffix;
    for (;;) {
      let best = Infinity;
      let place = -1;
      for (let i = 0; i + 1 < symbols.length; i++) {
        const rank = this.rank.get(`${symbols[i]}\n${symbols[i + 1]}`) ?? Infinity;
        if (rank < best) [best, place] = [rank, i];
      }
      if (place < 0) break;
      symbols.splice(place, 2, symbols[place] + symbols[place + 1]);
    }
    return symbols.flatMap((symbol) => this.vocabulary[symbol] ?? this.unknown ?? []);
  }
}

function normalizer({ kind, pattern, content }) {
  if (kind === "lowercase") return (text) => Array.from(text, (letter) => letter.toLowerCase()).join("");
  if (kind === "replace") {
    const regex = new RegExp(regular(pattern), "gu");
    return (text) => text.replace(regex, () => content);
  }
  return (text) => text.normalize(kind);
}

// The classes of letters of Rust's regular expressions in those of JavaScript.
function regular({ regex, text }) {
  if (text !== undefined) return text.replace(/[.*+?^${}()|[\]\\/-]/g, String.raw`\$&`);
  return regex.replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}");
}

function cut(text, added) {
  const parts = [];
  let from = 0;
  let at = 0;
  while (at < text.length) {
    const found = added.find(({ content }) => content && text.startsWith(content, at));
    if (found) {
      if (at > from) parts.push(text.slice(from, at));
      parts.push(found.id);
      from = at += found.content.length;
    } else {
      at++;
    }
  }
  if (from < text.length) parts.push(text.slice(from));
  return parts;
}

// The visible letter that stands for each byte, as GPT-2 has it.
function byteLetters() {
  const shown = (byte) => (byte > 32 && byte < 127) || (byte > 160 && byte < 173) || byte > 173;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(shown(byte) ? byte : next++));
}
