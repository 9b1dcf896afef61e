// The classes as chips, with the one that is being typed as a draft, and an undo history.

export class Words {
  constructor(input, list, onChange) {
    Object.assign(this, { input, list, onChange, words: [], past: [], future: [], colours: [] });
    input.addEventListener("input", () => this.#typed());
    input.addEventListener("keydown", (event) => this.#key(event));
  }

  get draft() {
    return clean(this.input.value);
  }

  get all() {
    return this.draft && !this.words.includes(this.draft) ? [...this.words, this.draft] : this.words;
  }

  set(words, { remember = true } = {}) {
    if (remember) {
      this.past.push(this.words);
      this.future = [];
    }
    this.words = words;
    this.#changed();
  }

  undo() {
    if (!this.past.length) return;
    this.future.push(this.words);
    this.set(this.past.pop(), { remember: false });
  }

  redo() {
    if (!this.future.length) return;
    this.past.push(this.words);
    this.set(this.future.pop(), { remember: false });
  }

  colour(classes) {
    this.colours = classes;
    this.#draw();
  }

  #typed() {
    const parts = this.input.value.split(",");
    if (parts.length > 1) {
      const rest = parts.pop();
      this.input.value = rest.trimStart();
      this.#add(parts.map(clean));
    } else {
      this.#changed();
    }
  }

  #key(event) {
    if (event.key === "Enter" && this.draft) {
      event.preventDefault();
      const word = this.draft;
      this.input.value = "";
      this.#add([word]);
    } else if (event.key === "Backspace" && !this.input.value && this.words.length) {
      event.preventDefault();
      this.input.value = this.words.at(-1);
      this.set(this.words.slice(0, -1));
    }
  }

  #add(words) {
    const fresh = words.filter((word) => word && !this.words.includes(word));
    if (fresh.length) this.set([...this.words, ...new Set(fresh)]);
    else this.#changed();
  }

  #changed() {
    this.#draw();
    this.onChange();
  }

  #draw() {
    this.list.replaceChildren(
      ...this.all.map((word, i) => this.#chip(word, i >= this.words.length)),
    );
  }

  #chip(word, draft) {
    const chip = document.createElement("span");
    chip.className = draft ? "chip draft" : "chip";
    chip.role = "listitem";
    const known = this.colours.find(({ name }) => name === word.split("|")[0].trim());
    if (known) chip.append(swatch(known.colour));
    chip.append(word);
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "✕";
    remove.ariaLabel = `Remove ${word}`;
    remove.addEventListener("click", () => {
      if (draft) this.input.value = "";
      this.set(this.words.filter((each) => each !== word));
      this.input.focus();
    });
    chip.append(remove);
    return chip;
  }
}

export function swatch(colour) {
  const square = document.createElement("span");
  square.className = "swatch";
  square.style.backgroundColor = colour;
  return square;
}

function clean(word) {
  return word
    .split("|")
    .map((part) => part.trim().replace(/\s+/g, " "))
    .filter(Boolean)
    .join("|");
}
