// The batch view: images of a folder on the server's disk, their overlays, and a filter by class.

import { server } from "./api.js";

const at = (id) => document.getElementById(id);
const PAGE = 24;
const BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACw="; // until the thumbnail is there

export function connectFolder({ upload, words, question, fail }) {
  const items = []; // {name, button, picture, shares}
  let total = 0;

  const more = async () => {
    const answer = await server.folder(items.length, PAGE);
    total = answer.total;
    const fresh = answer.images.map((name) => entry(name));
    items.push(...fresh);
    at("thumbnails").append(...fresh.map(({ item }) => item));
    at("folder-more").hidden = items.length >= total;
    at("folder-status").textContent = `${items.length} of ${total} images.`;
    for (const each of fresh) {
      each.picture.src = URL.createObjectURL(await server.thumbnail(each.name));
    }
  };

  const entry = (name) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const picture = document.createElement("img");
    const caption = document.createElement("span");
    button.type = "button";
    picture.alt = "";
    picture.src = BLANK;
    caption.textContent = name;
    button.append(picture, caption);
    item.append(button);
    button.addEventListener("click", async () => {
      at("folder").close();
      try {
        const known = await server.open(name);
        upload(await server.original(name), name.split("/").at(-1), known);
      } catch (error) {
        fail(error);
      }
    });
    return { name, item, picture, caption, shares: null };
  };

  const labelAll = async () => {
    const asked = question();
    if (!asked.classes.length) {
      at("folder-status").textContent = "Type the classes first.";
      return;
    }
    const classes = at("folder-class");
    classes.replaceChildren(new Option("All images", ""));
    for (const word of words.all) classes.add(new Option(word.split("|")[0]));
    for (const [i, each] of items.entries()) {
      const { id } = await server.open(each.name);
      const answer = await server.files(id, asked, ["overlay"]);
      each.shares = Object.fromEntries(answer.classes.map(({ name, share }) => [name, share]));
      each.picture.src = URL.createObjectURL(new Blob([answer.overlay], { type: "image/jpeg" }));
      at("folder-status").textContent = `${i + 1} of ${items.length} labelled.`;
      filter();
    }
  };

  const filter = () => {
    const name = at("folder-class").value;
    const least = Number(at("folder-share").value) / 100;
    at("folder-share-value").value = at("folder-share").value;
    at("folder-least").hidden = !name;
    for (const { item, shares } of items) {
      item.hidden = Boolean(name) && !((shares?.[name] ?? 0) >= least);
    }
  };

  server.folder(0, 1).then(
    () => (at("browse").hidden = false),
    () => {}, // the server was started without a folder
  );
  at("browse").addEventListener("click", () => {
    at("folder").showModal();
    if (!items.length) more().catch(fail);
  });
  at("folder-close").addEventListener("click", () => at("folder").close());
  at("folder-more").addEventListener("click", () => more().catch(fail));
  at("folder-label").addEventListener("click", () => labelAll().catch(fail));
  at("folder-class").addEventListener("change", filter);
  at("folder-share").addEventListener("input", filter);
}
