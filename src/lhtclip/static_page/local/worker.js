// One worker holds the model and the encoded image, and answers one call after the other.

import { Model } from "./model.js";

const cancelled = new Set();
const model = new Model((progress) => postMessage({ progress }));
let last = Promise.resolve();

addEventListener("message", ({ data }) => {
  if (data.cancel) cancelled.add(data.cancel);
  else last = last.then(() => answer(data));
});

async function answer({ id, name, args }) {
  await new Promise((resume) => setTimeout(resume)); // lets a message that cancels this one arrive
  if (cancelled.delete(id)) return;
  try {
    postMessage({ id, value: await model[name](...args) });
  } catch (error) {
    postMessage({ id, error: { message: error.message ?? String(error), status: error.status } });
  }
}
