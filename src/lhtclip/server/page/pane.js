// One side of the comparison: a canvas, and the method, techniques and gains that label its image.

import { Gains } from "./gains.js";

export class Pane {
  constructor(side, canvas, onChange) {
    Object.assign(this, { side, canvas, onChange, result: null, box: null });
  }

  build(parent, { methods, default: own, switches, gains }) {
    this.box = document.createElement("div");
    this.box.className = "pane";
    this.box.hidden = this.side === "right";
    const select = document.createElement("select");
    select.id = `${this.side}-method`;
    for (const { name, source } of methods) {
      const option = new Option(name, name, name === own, name === own);
      option.title = source;
      select.add(option);
    }
    const label = document.createElement("label");
    label.htmlFor = select.id;
    label.className = "visually-hidden";
    label.textContent = `Method of the ${this.side} image`;
    const row = document.createElement("div");
    row.className = "row";
    this.switches = switches.map((name) => technique(this.side, name, this.side === "left"));
    row.append(...this.switches.map(({ label }) => label));
    this.select = select;
    this.box.append(label, select, row);
    if (gains) {
      this.gains = new Gains(this.side, gains);
      this.box.append(this.gains.box);
    }
    this.box.addEventListener("change", () => this.onChange());
    parent.append(this.box);
  }

  toggle(shown) {
    this.box.hidden = !shown;
    this.canvas.hidden = !shown;
  }

  get variant() {
    if (!this.select) return { method: null, lht: null };
    const lht = Object.fromEntries(this.switches.map(({ name, input }) => [name, input.checked]));
    const gains = this.gains && { gains: this.gains.value };
    return { method: this.select.value, lht, ...gains };
  }
}

function technique(side, name, checked) {
  const input = document.createElement("input");
  input.type = "checkbox";
  input.id = `${side}-${name}`;
  input.checked = checked;
  const label = document.createElement("label");
  label.className = "check";
  label.append(input, name.toUpperCase());
  return { name, input, label };
}
