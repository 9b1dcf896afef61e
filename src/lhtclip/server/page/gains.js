// What raises mIoU without training: a fold of controls for one image of the comparison.

const CHOICES = {
  atr_by: ["ATR judges", { hoyer: "by sparsity", channels: "by channels" }],
  refine: ["Refine", { none: "none", pamr: "PAMR, by colour", tlp: "TLP, by colour and words" }],
  shifts: ["Shifts", { 1: "none", 2: "2 × 2", 3: "3 × 3" }],
  aliases: ["Synonyms", { none: "the best counts", given: "all count", common: "all count, and common ones" }],
};
const SWITCHES = {
  flip: "Mirrored windows",
  joint: "Joint windows",
  calibrate_texts: "Calibrated texts",
};

export class Gains {
  constructor(side, own) {
    this.own = own;
    this.inputs = {};
    this.box = document.createElement("details");
    this.box.className = "gains";
    this.summary = document.createElement("summary");
    const grid = document.createElement("div");
    grid.className = "pairs";
    for (const [name, [title, options]] of Object.entries(CHOICES)) {
      if (name in own) grid.append(...this.#field(side, name, title, select(options, own[name])));
    }
    const prior = input("number", own.prior);
    Object.assign(prior, { min: -1, max: 0.9, step: 0.1 });
    grid.append(...this.#field(side, "prior", "Class prior", prior));
    const sides = input("text", own.short_side.join(", "));
    Object.assign(sides, { inputMode: "numeric", placeholder: "336, 448" });
    grid.append(...this.#field(side, "short_side", "Short sides", sides));
    const checks = document.createElement("div");
    checks.className = "row";
    for (const [name, title] of Object.entries(SWITCHES)) {
      if (name in own) checks.append(this.#check(side, name, title));
    }
    this.box.append(this.summary, grid, checks);
    this.box.addEventListener("change", () => this.#count());
    this.#count();
  }

  // All gains, as the service names them.
  get value() {
    const { inputs, own } = this;
    const found = {};
    for (const name of Object.keys(inputs)) {
      if (name in SWITCHES) found[name] = inputs[name].checked;
      else if (name in CHOICES) found[name] = inputs[name].value;
    }
    if ("shifts" in found) found.shifts = Number(found.shifts);
    const prior = inputs.prior.valueAsNumber;
    found.prior = Number.isFinite(prior) ? Math.min(0.99, Math.max(-1, prior)) : own.prior;
    const sides = inputs.short_side.value.split(/[\s,]+/).filter(Boolean).map(Number);
    const usable = sides.length && sides.every((side) => Number.isInteger(side));
    found.short_side = usable ? sides : own.short_side;
    return found;
  }

  #field(side, name, title, control) {
    const label = document.createElement("label");
    control.id = `${side}-${name}`;
    label.htmlFor = control.id;
    label.textContent = title;
    this.inputs[name] = control;
    return [label, control];
  }

  #check(side, name, title) {
    const label = document.createElement("label");
    label.className = "check";
    const box = input("checkbox");
    box.id = `${side}-${name}`;
    box.checked = this.own[name];
    this.inputs[name] = box;
    label.append(box, title);
    return label;
  }

  #count() {
    const count = Object.keys(changed(this.value)).length;
    this.summary.textContent = count ? `Gains: ${count} on` : "Gains";
  }
}

// The gains that differ from a plain run of the library.
const PLAIN = {
  atr_by: "hoyer",
  refine: "none",
  prior: 0,
  flip: false,
  shifts: 1,
  short_side: [336],
  joint: false,
  calibrate_texts: false,
  aliases: "none",
};

export function changed(gains) {
  const entries = Object.entries(gains ?? {});
  return Object.fromEntries(entries.filter(([name, value]) => String(value) !== String(PLAIN[name])));
}

function select(options, chosen) {
  const control = document.createElement("select");
  for (const [value, text] of Object.entries(options)) {
    control.add(new Option(text, value, false, value === String(chosen)));
  }
  return control;
}

function input(type, value) {
  const control = document.createElement("input");
  control.type = type;
  if (value !== undefined) control.value = value;
  return control;
}
