// What a person takes away: files made from the server's answer, and the call that reproduces it.

import { server } from "./api.js";
import { asCommand, asPython } from "./calls.js";

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
      const { polygons, width, height } = await ask(["polygons"]);
      save(JSON.stringify({ width, height, polygons }), "application/json", `${stem()}.polygons.json`);
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
      for (const { index, name, share } of result.classes) {
        if (share) save(await mask(result, index), "image/png", `${stem()}.${name}.mask.png`);
      }
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

async function mask({ labels, width, height }, index) {
  const canvas = new OffscreenCanvas(width, height);
  const image = new ImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  for (let i = 0; i < out.length; i++) out[i] = labels[i] === index ? 0xffffffff : 0xff000000;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

function save(data, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
