// Bundled scenes to start with: a few as pictures where an image is dropped, all behind a button.

import { server } from "./api.js";

const at = (id) => document.getElementById(id);
const SHOWN = 4;

export async function connectExamples({ open, fail }) {
  let next = 0;
  let examples = [];
  const choose = async (number) => {
    try {
      const { name, classes } = examples[number % examples.length];
      next = number + 1;
      await open(await server.example(name), `${name}.png`, classes);
    } catch (error) {
      fail(error);
    }
  };
  at("example").addEventListener("click", () => choose(next));
  try {
    examples = await server.examples();
    const pictures = await Promise.all(examples.slice(0, SHOWN).map(({ name }) => server.example(name)));
    at("examples").replaceChildren(...pictures.map((blob, i) => entry(blob, examples[i], () => choose(i))));
  } catch (error) {
    fail(error);
  }
}

function entry(blob, { classes }, onClick) {
  const picture = document.createElement("img");
  picture.src = URL.createObjectURL(blob);
  picture.alt = `Example with ${classes.slice(0, 3).join(", ")}`;
  const button = document.createElement("button");
  button.type = "button";
  button.append(picture);
  button.addEventListener("click", onClick);
  const item = document.createElement("li");
  item.append(button);
  return item;
}
