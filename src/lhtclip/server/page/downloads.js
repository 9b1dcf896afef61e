// What a person takes away: files made from the server's answer, and the call that reproduces it.

import { server } from "./api.js";
import { asCommand, asPython } from "./calls.js";
import { encodePng } from "./png.js";
import { zip } from "./zip.js";

const at = (id) => document.getElementById(id);

export function connectDownloads({ state, words, question, fail }) {
  const stem = () => state.name.replace(/\.[^.]*$/, "") || "image";
  const pane = () => state.panes[0];
  const ask = (include) => server.files(state.id, question(pane()), include);

  const makers = {
    labels: async () => save((await ask(["labels"])).labels, "image/png", `${stem()}.png`),
    overlay: async () =>
      save((await ask(["overlay"])).overlay, "image/jpeg", `${stem()}.overlay.jpg`),
    polygons: async () => {
      const features = (await ask(["polygons"])).polygons.map(({ rings, ...properties }) => ({
        type: "Feature",
        geometry: { type: "Polygon", coordinates: rings }, // pixels, y downwards
        properties,
      }));
      const collection = { type: "FeatureCollection", features };
      save(JSON.stringify(collection), "application/geo+json", `${stem()}.geojson`);
    },
    coco: async () => {
      const { rle, width, height, classes, background } = await ask(["rle"]);
      const categories = classes.filter(({ index }) => index !== background);
      const document = {
        images: [{ id: 1, file_name: state.name, width, height }],
        annotations: rle.map((each) => ({ ...each, image_id: 1 })),
        categories: categories.map(({ name }, i) => ({ id: i + 1, name, supercategory: "" })),
      };
      save(JSON.stringify(document), "application/json", `${stem()}.coco.json`);
    },
    masks: async () => {
      const { result } = pane();
      const files = [];
      for (const { index, name, share } of result.classes) {
        const path = `${stem()}/${index}.${safe(name)}.png`;
        if (share) files.push({ name: path, data: await mask(result, index) });
      }
      save(zip(files), "application/zip", `${stem()}.masks.zip`);
    },
  };
  for (const button of document.querySelectorAll("[data-download]")) {
    button.addEventListener("click", () => makers[button.dataset.download]().catch(fail));
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const make = button.dataset.copy === "python" ? asPython : asCommand;
      const text = make(state, words, question(pane()));
      try {
        await navigator.clipboard.writeText(text);
        at("status").textContent = "Copied.";
      } catch {
        at("status").textContent = text;
      }
      document.body.dataset.copied = text;
    });
  }
}

// 255 where a class is, 0 elsewhere.
function mask({ labels, width, height }, index) {
  return encodePng(labels.map((label) => (label === index ? 255 : 0)), width, height);
}

// A class name as a file name on every system.
function safe(name) {
  return name.replace(/[\\/:*?"<>|\p{Cc}]/gu, "_");
}

function save(data, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
