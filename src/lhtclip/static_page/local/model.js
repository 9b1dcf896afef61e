// What the REST service does, on ONNX Runtime's WebAssembly: upload an image, ask it for classes.

import * as ort from "../../runtime/ort.wasm.min.mjs";

import { describe } from "./answers.js";
import { cosines, decode, probabilitiesAt } from "./decode.js";
import { overlay } from "./overlay.js";
import { normalised, plan, readLevels, windowsOf } from "./pixels.js";
import { encodePng } from "../png.js";
import { cocoRegions, polygonRegions } from "./regions.js";
import { Texts } from "./texts.js";
import { viewOf } from "./views.js";
import { vocabularyOf } from "./vocabulary.js";

const ROOT = new URL("../../", import.meta.url);
const MOST_THREADS = 4;

export class Model {
  constructor(tell) {
    this.tell = tell;
    this.sessions = new Map();
    this.image = null; // {id, levels, encoded: Map of a graph's name to embeddings}
    this.count = 0;
  }

  async about() {
    this.content ??= fetchJson("model/model.json").then((content) => {
      ort.env.wasm.wasmPaths = new URL("runtime/", ROOT).href;
      ort.env.wasm.numThreads = globalThis.crossOriginIsolated
        ? Math.min(MOST_THREADS, navigator.hardwareConcurrency)
        : 1;
      return content;
    });
    return this.content;
  }

  async methods() {
    const { method, source, variants } = await this.about();
    return { default: method, methods: [{ name: method, source }], switches: variants.length > 1 ? ["lht"] : [] };
  }

  async models() {
    return { models: [{ name: (await this.about()).name }] };
  }

  async examples() {
    return (await this.about()).examples;
  }

  async example(name) {
    const answer = await fetch(new URL(`examples/${name}.png`, ROOT));
    if (!answer.ok) throw new Error(`The example ${name} is missing.`);
    return answer.blob();
  }

  async upload(blob) {
    const { max_pixels: most } = await this.about();
    const levels = await readLevels(blob, most);
    const id = String(++this.count);
    this.image = { id, levels, encoded: new Map() };
    await this.#embeddings(this.image, { lht: null });
    return { id, width: levels.width, height: levels.height };
  }

  async segment(id, question) {
    const { result } = await this.#labelled(id, question);
    const { labels, width, height } = result;
    const { background } = result.vocabulary;
    return { labels, width, height, background, classes: describe(result, await this.about()) };
  }

  async files(id, question, include) {
    const { image, result } = await this.#labelled(id, question);
    const { width, height, vocabulary } = result;
    const about = await this.about();
    const classes = describe(result, about);
    const answer = { width, height, classes, background: vocabulary.background };
    if (include.includes("labels")) answer.labels = await encodePng(result.labels, width, height);
    if (include.includes("overlay")) answer.overlay = await overlay(image.levels, result, classes);
    if (include.includes("polygons")) answer.polygons = polygonRegions(result, vocabulary);
    if (include.includes("rle")) answer.rle = cocoRegions(result, vocabulary);
    return answer;
  }

  async probe(id, question) {
    const { image, vocabulary, logits, encoded } = await this.#logits(id, question);
    const classes = probabilitiesAt(logits, encoded, image.levels, vocabulary, question);
    return { x: question.x, y: question.y, classes: classes.slice(0, question.k ?? 5) };
  }

  async view(id, question) {
    const image = this.#kept(id);
    return viewOf(await this.#embeddings(image, question), image.levels, question);
  }

  async #labelled(id, question) {
    const about = await this.about();
    const { image, vocabulary, logits, encoded } = await this.#logits(id, question);
    const threshold = question.threshold ?? about.decoding.threshold;
    const result = decode(logits, encoded, image.levels, vocabulary, threshold);
    return { image, result };
  }

  async #logits(id, question) {
    const about = await this.about();
    const image = this.#kept(id);
    const threshold = question.threshold ?? about.decoding.threshold;
    const known = about.background_words;
    const vocabulary = vocabularyOf(question.classes, question.background, threshold, known);
    const encoded = await this.#embeddings(image, question);
    const texts = await this.#texts().then((own) => own.encode(vocabulary.queries));
    const logits = cosines(encoded.embeddings, texts, about.width, about.decoding.logit_scale);
    return { image, vocabulary, logits, encoded };
  }

  #kept(id) {
    if (this.image?.id === id) return this.image;
    throw Object.assign(new Error("This image is no longer kept. Open it again."), { status: 404 });
  }

  async #texts() {
    this.texts ??= (async () => {
      const about = await this.about();
      const [tokenizer, session] = await Promise.all([
        fetchJson("model/tokenizer.json"),
        this.#session("text.onnx"),
      ]);
      return new Texts(ort, session, tokenizer, about, this.tell);
    })();
    return this.texts;
  }

  // Embeddings of all windows, patch after patch, and where the windows lie.
  async #embeddings(image, { lht }) {
    const about = await this.about();
    const variant = about.variants.find((each) => each.lht === wanted(lht)) ?? about.variants[0];
    if (!image.encoded.has(variant.file)) {
      const session = await this.#session(variant.file);
      this.tell("Encoding the image…");
      image.encoded.set(variant.file, await encode(session, image.levels, about));
    }
    return image.encoded.get(variant.file);
  }

  async #session(file) {
    if (!this.sessions.has(file)) {
      const made = download(`model/${file}`, this.tell).then((bytes) =>
        ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" }),
      );
      made.catch(() => this.sessions.delete(file));
      this.sessions.set(file, made);
    }
    return this.sessions.get(file);
  }
}

function wanted(lht) {
  if (lht === null || typeof lht === "boolean") return lht ?? true;
  return lht.lht ?? true;
}

async function encode(session, levels, about) {
  const layout = plan(levels, about.windows, about.patch);
  const pixels = normalised(levels, layout, about.pixels);
  const rows = Math.floor(layout.windowHeight / about.patch);
  const columns = Math.floor(layout.windowWidth / about.patch);
  const { width, windows } = about;
  const count = layout.tops.length * layout.lefts.length;
  const embeddings = new Float32Array(count * rows * columns * width);
  const identity = new Float32Array(width * width);
  for (let i = 0; i < width; i++) identity[i * (width + 1)] = 1;
  const texts = new ort.Tensor("float32", identity, [width, width]);
  const size = [rows * about.patch, columns * about.patch];
  for (let start = 0; start < count; start += windows.batch) {
    const some = windowsOf(pixels, layout, size, start, Math.min(windows.batch, count - start));
    const shape = [some.length / (3 * size[0] * size[1]), 3, ...size];
    const { logits } = await session.run({ pixels: new ort.Tensor("float32", some, shape), texts });
    embeddings.set(logits.data, start * rows * columns * width);
  }
  return { ...layout, rows, columns, embeddings };
}

async function fetchJson(path) {
  const answer = await fetch(new URL(path, ROOT));
  if (!answer.ok) throw new Error(`The page's file ${path} is missing.`);
  return answer.json();
}

async function download(path, tell) {
  const answer = await fetch(new URL(path, ROOT));
  if (!answer.ok) throw new Error(`The page's file ${path} is missing.`);
  const total = Number(answer.headers.get("content-length"));
  const parts = [];
  let done = 0;
  for (let reader = answer.body.getReader(), next; !(next = await reader.read()).done; ) {
    parts.push(next.value);
    done += next.value.length;
    const share = total >= done ? `${Math.round((100 * done) / total)} %` : `${done >> 20} MB`;
    tell(`Loading the model: ${share}`);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
