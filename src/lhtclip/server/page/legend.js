// The legend: shares and scores; a click isolates a class, Shift or Alt with it hides one.

import { swatch } from "./words.js";

export class Legend {
  constructor(list, onChange) {
    Object.assign(this, { list, onChange, only: null, hidden: new Set(), classes: [] });
  }

  visible(index) {
    const name = this.classes[index]?.name;
    return this.only === null ? !this.hidden.has(name) : this.only === name;
  }

  show(result) {
    const focused = document.activeElement?.dataset?.name;
    this.classes = result?.classes ?? [];
    if (!this.classes.some(({ name }) => name === this.only)) this.only = null;
    const rows = [...this.classes].sort((a, b) => b.share - a.share).map((each) => this.#row(each));
    this.list.replaceChildren(...rows);
    if (focused) this.list.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
  }

  #row({ name, colour, share, score }) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.name = name;
    button.title = "Click to isolate; Shift and click to hide";
    button.ariaPressed = String(this.only === name);
    const label = document.createElement("span");
    label.className = this.hidden.has(name) ? "name hidden-class" : "name";
    label.textContent = name;
    const numbers = document.createElement("span");
    numbers.className = "numbers";
    numbers.textContent = `${(100 * share).toFixed(1)} %${score === null ? "" : ` · ${score.toFixed(2)}`}`;
    numbers.title = "Share of pixels, mean score";
    const track = document.createElement("span");
    track.className = "track";
    const bar = document.createElement("i");
    bar.style.width = `${100 * share}%`;
    bar.style.backgroundColor = colour;
    track.append(bar);
    button.append(swatch(colour), label, numbers, ...(share ? [track] : []));
    if (!share) button.classList.add("absent");
    button.addEventListener("click", (event) => {
      if (event.shiftKey || event.altKey) this.#toggle(name);
      else this.only = this.only === name ? null : name;
      this.show({ classes: this.classes });
      this.onChange();
    });
    item.append(button);
    return item;
  }

  #toggle(name) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
  }
}
