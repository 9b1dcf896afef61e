// The pointer on the image: the class under it, the best classes at a click, and the divider.

import { server } from "./api.js";

const at = (id) => document.getElementById(id);

export function connectPointer({ state, words, question, look, draw, fail, shown }) {
  const stage = at("stage");
  let cursor = null; // pixel under the keyboard's pointer

  const pixel = (event) => {
    const box = at("left").getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * state.image.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * state.image.height);
    const inside = x >= 0 && y >= 0 && x < state.image.width && y < state.image.height;
    return inside ? { x, y } : null;
  };

  const pane = (point) => {
    const share = point.x / state.image.width;
    return shown().length > 1 && 100 * share > split ? state.panes[1] : state.panes[0];
  };

  const hover = (point) => {
    const result = pane(point).result;
    if (!result) return;
    const { name } = result.classes[result.labels[point.y * result.width + point.x]] ?? {};
    if (name) at("status").textContent = `${name} at ${point.x}, ${point.y}`;
  };

  const probe = async (point) => {
    state.point = point;
    place(at("cursor"), point);
    if (!words.all.length) return;
    try {
      if (at("show").value === "similarity") {
        await look();
        draw();
      }
      const answer = await server.probe(state.id, question(pane(point), { ...point, k: 5 }));
      showTip(point, answer.classes);
    } catch (error) {
      fail(error);
    }
  };

  const place = (element, point) => {
    const box = at("left").getBoundingClientRect();
    const outer = stage.getBoundingClientRect();
    const left = box.left - outer.left + ((point.x + 0.5) / state.image.width) * box.width;
    const top = box.top - outer.top + ((point.y + 0.5) / state.image.height) * box.height;
    element.style.left = `${left}px`;
    element.style.top = `${top}px`;
    element.hidden = false;
    return { left, top, outer };
  };

  const showTip = (point, classes) => {
    const table = document.createElement("table");
    for (const { name, probability } of classes) {
      const row = table.insertRow();
      row.insertCell().textContent = name;
      row.insertCell().textContent = probability < 0.0005 ? "< 0.1 %" : `${(100 * probability).toFixed(1)} %`;
    }
    at("tip").replaceChildren(table);
    const { left, top, outer } = place(at("tip"), point);
    const { width, height } = at("tip").getBoundingClientRect();
    at("tip").style.left = `${Math.max(4, Math.min(left + 12, outer.width - width - 8))}px`;
    at("tip").style.top = `${Math.max(4, Math.min(top + 12, outer.height - height - 8))}px`;
  };

  stage.addEventListener("pointermove", (event) => {
    if (!state.image || event.target === at("divider")) return;
    const point = pixel(event);
    if (point) hover(point);
  });
  stage.addEventListener("pointerleave", () => (at("tip").hidden = true));
  stage.addEventListener("click", (event) => {
    if (!state.image || event.target === at("divider")) return;
    const point = pixel(event);
    if (point) probe(point);
  });
  stage.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!state.image || event.target !== stage) return;
    if (event.key in steps) {
      event.preventDefault();
      const [right, down] = steps[event.key];
      const step = Math.max(1, Math.round(state.image.width / (event.shiftKey ? 400 : 40)));
      cursor ??= { x: state.image.width >> 1, y: state.image.height >> 1 };
      cursor = {
        x: Math.min(Math.max(cursor.x + right * step, 0), state.image.width - 1),
        y: Math.min(Math.max(cursor.y + down * step, 0), state.image.height - 1),
      };
      place(at("cursor"), cursor);
      hover(cursor);
    } else if (event.key === "Enter" && cursor) {
      probe(cursor);
    } else if (event.key === "Escape") {
      at("tip").hidden = at("cursor").hidden = true;
    }
  });

  let split = 50;
  const divider = at("divider");
  const move = (share) => {
    split = Math.min(Math.max(share, 0), 100);
    const box = at("left").getBoundingClientRect();
    const outer = stage.getBoundingClientRect();
    divider.style.left = `${box.left - outer.left + (split / 100) * box.width}px`;
    divider.ariaValueNow = String(Math.round(split));
    at("right").style.clipPath = `inset(0 0 0 ${split}%)`;
  };
  const drag = (event) => {
    const box = at("left").getBoundingClientRect();
    move((100 * (event.clientX - box.left)) / box.width);
  };
  divider.addEventListener("pointerdown", (event) => {
    divider.setPointerCapture(event.pointerId);
    divider.addEventListener("pointermove", drag);
  });
  divider.addEventListener("pointerup", () => divider.removeEventListener("pointermove", drag));
  divider.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
    if (event.key in step) {
      event.preventDefault();
      move(split + step[event.key]);
    }
  });
  new ResizeObserver(() => {
    move(split);
    if (state.point) place(at("cursor"), state.point);
  }).observe(at("left"));
}
