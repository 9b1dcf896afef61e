// One side of the comparison: a canvas, and the method, techniques and gains that label its image.

import { Gains } from "./gains.js";

export class Pane {
  constructor(side, canvas, onChange) {
    Object.assign(this, { side, canvas, onChange, result: null, box: null });
  }

  build(parent, { methods, default: own, switches, gains, models, atr_by }) {
    this.box = document.createElement("div");
    this.box.className = "pane";
    this.box.hidden = this.side === "right";
    this.model = models.length > 1 ? choice(this.side, "Model", models.map((name) => ({ name }))) : null;
    this.method = choice(this.side, "Method", methods, own);
    const row = document.createElement("div");
    row.className = "row";
    this.switches = switches.map((name) => technique(this.side, name, this.side === "left"));
    row.append(...this.switches.map(({ label }) => label));
    const choices = [this.model, this.method].filter(Boolean);
    this.box.append(...choices.flatMap(({ label, select }) => [label, select]), row);
    if (gains) {
      this.gains = new Gains(this.side, atr_by[1] ? { atr_by: atr_by[0], ...gains } : gains);
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
    if (!this.method) return { method: null, lht: null };
    const lht = Object.fromEntries(this.switches.map(({ name, input }) => [name, input.checked]));
    const { atr_by, ...gains } = this.gains?.value ?? {};
    if (lht.atr && atr_by === "channels") lht.atr = atr_by;
    const model = this.model && { model: this.model.select.value };
    return { ...model, method: this.method.select.value, lht, ...(this.gains && { gains }) };
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

function choice(side, title, options, chosen) {
  const select = document.createElement("select");
  select.id = `${side}-${title.toLowerCase()}`;
  for (const { name, source } of options) {
    const option = new Option(name, name, name === chosen, name === chosen);
    if (source) option.title = source;
    select.add(option);
  }
  const label = document.createElement("label");
  label.htmlFor = select.id;
  label.className = "visually-hidden";
  label.textContent = `${title} of the ${side} image`;
  return { label, select };
}
