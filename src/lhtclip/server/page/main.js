// The page: one image, its words, one or two methods, and everything drawn from their labels.

import { server } from "./api.js";
import { caption, explanation } from "./captions.js";
import { connectDownloads } from "./downloads.js";
import { connectExamples } from "./examples.js";
import { connectFolder } from "./folder.js";
import { Legend } from "./legend.js";
import { paint, paintView } from "./painter.js";
import { Pane } from "./pane.js";
import { connectPointer } from "./pointer.js";
import { Words } from "./words.js";

const at = (id) => document.getElementById(id);

// While an answer is under way, the next question waits until no key was pressed for a third of
// the time that the last answer took.
const LONGEST_PAUSE = 250; // milliseconds
const MOST_CLASSES = 254; // labels are bytes on the page

const state = {
  id: null,
  name: "image.png",
  image: null, // ImageBitmap
  blob: null,
  panes: [],
  view: null,
  point: null,
  turn: 0, // counts questions, so that a late answer never replaces a newer one
  took: 100, // milliseconds that the last answer took
  stop: null, // AbortController of the question under way
};

const words = new Words(at("words"), at("chips"), () => ask(pause()));
const legend = new Legend(at("legend"), draw);

function question(pane, more = {}) {
  return {
    classes: words.all.map((word) => word.split("|")),
    background: at("background").value.trim() || null,
    threshold: Number(at("threshold").value) || null,
    ...pane.variant,
    ...more,
  };
}

function shown() {
  return at("compare").checked ? state.panes : state.panes.slice(0, 1);
}

function pause() {
  return state.stop ? Math.min(state.took / 3, LONGEST_PAUSE) : 0;
}

let timer = 0;
function ask(milliseconds = 0) {
  at("undo").disabled = !words.past.length;
  at("redo").disabled = !words.future.length;
  clearTimeout(timer);
  timer = setTimeout(answer, milliseconds);
}

async function answer() {
  if (!state.id) return;
  state.stop?.abort();
  state.stop = null;
  const turn = ++state.turn;
  if (!words.all.length) {
    for (const pane of state.panes) pane.result = null;
    update("Type a class.");
    return;
  }
  if (words.all.length > MOST_CLASSES) {
    fail(new Error(`The page shows at most ${MOST_CLASSES} classes; the service labels more.`));
    return;
  }
  const started = performance.now();
  const stop = (state.stop = new AbortController());
  try {
    const answers = await Promise.all(
      shown().map((pane) => server.segment(state.id, question(pane), stop.signal)),
    );
    if (turn !== state.turn) return;
    shown().forEach((pane, i) => (pane.result = answers[i]));
    await look();
    state.took = performance.now() - started;
    document.body.dataset.answered = String(turn); // for tests: this question is on the screen
    const view = state.view && explanation(state.view, state.point);
    update(view || `${words.all.length} classes in ${Math.round(state.took)} ms.`);
  } catch (error) {
    if (error.name === "AbortError" || turn !== state.turn) return;
    fail(error);
  } finally {
    if (turn === state.turn) state.stop = null;
  }
}

async function look() {
  const kind = at("show").value;
  state.view = null;
  if (kind === "classes" || (kind === "similarity" && !state.point)) return;
  const pane = state.panes[0];
  const { x, y } = state.point ?? { x: 0, y: 0 }; // sparsity needs no point
  const views = shown().map((each) =>
    server.view(state.id, { kind, x, y, ...(each ?? pane).variant }),
  );
  state.view = await Promise.all(views);
  at("status").textContent = explanation(state.view, state.point);
}

function update(text) {
  at("error").hidden = true;
  at("status").textContent = text;
  const first = state.panes[0].result;
  if (first) words.colour(first.classes);
  legend.show(first, at("compare").checked ? state.panes[1].result : null);
  at("nothing").hidden = Boolean(first);
  at("differ").textContent = difference();
  for (const button of document.querySelectorAll("[data-download], [data-copy]")) {
    button.disabled = !first;
  }
  draw();
}

function difference() {
  const [a, b] = state.panes.map((pane) => pane.result);
  if (!at("compare").checked || !a || !b) return "";
  let differ = 0;
  for (let i = 0; i < a.labels.length; i++) differ += a.labels[i] !== b.labels[i];
  return `${((100 * differ) / a.labels.length).toFixed(1)} % of pixels differ.`;
}

function draw() {
  if (!state.image) return;
  const options = {
    opacity: Number(at("opacity").value),
    edges: at("edges").checked,
    visible: (index) => legend.visible(index),
  };
  shown().forEach((pane, i) => {
    if (state.view) paintView(pane.canvas, state.image, state.view[i], options.opacity);
    else paint(pane.canvas, state.image, pane.result, options);
    pane.canvas.hidden = false;
  });
  at("drop").hidden = true;
  const two = at("compare").checked;
  at("right").hidden = !two;
  at("divider").hidden = !two;
  at("scale").hidden = !state.view;
  for (const { side, variant } of state.panes) {
    at(`${side}-caption`).hidden = !two;
    at(`${side}-caption`).textContent = caption(variant);
  }
}

function fail(error) {
  at("error").textContent = error.message;
  at("error").hidden = false;
  at("status").textContent = "";
  if (error.status === 404 && state.blob) {
    at("status").textContent = "The server has forgotten the image; it is sent again.";
    upload(state.blob, state.name);
  }
}

let sent = 0;
async function upload(blob, name = "image.png", known = null) {
  const mine = ++sent;
  at("error").hidden = true;
  at("status").textContent = "Encoding the image…";
  document.body.dataset.answered = "";
  try {
    const [answer, image] = await Promise.all([
      known ?? server.upload(blob),
      createImageBitmap(blob, { imageOrientation: "from-image" }).catch(() => null),
    ]);
    if (mine !== sent) return;
    if (!image) throw new Error("The browser cannot show this kind of image. Convert it to PNG or JPEG.");
    Object.assign(state, { id: answer.id, image, blob, name, view: null, point: null });
    at("tip").hidden = at("cursor").hidden = true;
    for (const pane of state.panes) pane.result = null;
    update(`${image.width} × ${image.height} pixels.`);
    ask();
  } catch (error) {
    if (mine === sent) fail({ message: error.message });
  }
}

function connect() {
  state.panes = [new Pane("left", at("left"), ask), new Pane("right", at("right"), ask)];
  at("choose").addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", () => {
    const [file] = at("file").files;
    if (file) upload(file, file.name);
    at("file").value = "";
  });
  at("undo").addEventListener("click", () => words.undo());
  at("redo").addEventListener("click", () => words.redo());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input[type=text]") && event.target.value;
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || typing) return;
    event.preventDefault();
    if (event.shiftKey) words.redo();
    else words.undo();
  });
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) upload(file, file.name || "pasted.png");
  });
  const stage = at("stage");
  stage.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
  stage.addEventListener("dragleave", () => stage.classList.remove("over"));
  stage.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) upload(file, file.name);
  });
  at("background").addEventListener("input", () => ask(pause()));
  at("threshold").addEventListener("input", () => {
    at("threshold-value").value = Number(at("threshold").value).toFixed(2);
    ask(pause());
  });
  for (const id of ["opacity", "edges"]) at(id).addEventListener("input", draw);
  at("show").addEventListener("change", async () => {
    try {
      await look();
      if (at("show").value === "similarity" && !state.point) {
        at("status").textContent = "Click a patch of the image.";
      }
      draw();
    } catch (error) {
      fail(error);
    }
  });
  at("compare").addEventListener("change", () => {
    state.panes[1].toggle(at("compare").checked);
    ask();
  });
  at("theme").addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  });
  connectPointer({ state, words, question, look, draw, fail, shown });
  connectDownloads({ state, words, question, fail });
  connectFolder({ upload, words, question: () => question(state.panes[0]), fail });
}

async function start() {
  connect();
  at("api").hidden = Boolean(server.local);
  server.onProgress?.((text) => (at("status").textContent = text));
  try {
    const [{ models }, offered] = await Promise.all([server.models(), server.methods()]);
    const names = models.map(({ name }) => name);
    at("model").textContent = `${names.length > 1 ? "Models" : "Model"}: ${names.join(", ")}`;
    state.model = names[0];
    for (const pane of state.panes) pane.build(at("panes"), { ...offered, models: names });
    const open = (blob, name, classes) => {
      words.set(classes);
      return upload(blob, name);
    };
    await connectExamples({ open, fail });
  } catch (error) {
    fail(error);
  }
}

start();
