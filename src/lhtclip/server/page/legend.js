// The legend: shares and scores; a click isolates a class, Shift or Alt with it hides one.

import { swatch } from "./words.js";

export class Legend {
  constructor(list, onChange) {
    Object.assign(this, { list, onChange, only: null, hidden: new Set(), classes: [], other: [] });
  }

  visible(index) {
    const name = this.classes[index]?.name;
    return this.only === null ? !this.hidden.has(name) : this.only === name;
  }

  // `compared` is the result of the right-hand side, if there is one.
  show(result, compared = null) {
    const focused = document.activeElement?.dataset?.name;
    this.classes = result?.classes ?? [];
    this.other = compared?.classes ?? [];
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
    const right = this.other.find((each) => each.name === name);
    if (right) {
      numbers.textContent = `${percent(share)} | ${percent(right.share)} %`;
      numbers.title = "Share of pixels on the left | on the right";
    } else {
      numbers.textContent = `${percent(share)} %${score === null ? "" : ` · ${score.toFixed(2)}`}`;
      numbers.title = "Share of pixels · mean score";
    }
    const shares = right ? [share, right.share] : [share];
    const present = shares.some((each) => each > 0);
    button.append(swatch(colour), label, numbers);
    if (present) button.append(...shares.map((each) => track(each, colour)));
    else button.classList.add("absent");
    button.addEventListener("click", (event) => {
      if (event.shiftKey || event.altKey) this.#toggle(name);
      else this.only = this.only === name ? null : name;
      this.show({ classes: this.classes }, { classes: this.other });
      this.onChange();
    });
    item.append(button);
    return item;
  }

  #toggle(name) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
  }
}

function track(share, colour) {
  const whole = document.createElement("span");
  whole.className = "track";
  const bar = document.createElement("i");
  bar.style.width = `${100 * share}%`;
  bar.style.backgroundColor = colour;
  whole.append(bar);
  return whole;
}

function percent(share) {
  return (100 * share).toFixed(1);
}
