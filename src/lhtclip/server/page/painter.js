// Class indices become colours in the browser, so opacity, edges and hidden classes need no server.

export function paint(canvas, image, result, { opacity, edges, visible }) {
  const { width, height } = image;
  fit(canvas, image);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  if (!result) return;
  const layer = new ImageData(result.width, result.height);
  const out = new Uint32Array(layer.data.buffer);
  const table = colourTable(result.classes, opacity, visible);
  const { labels } = result;
  for (let i = 0; i < out.length; i++) out[i] = table[labels[i]];
  if (edges) drawEdges(out, labels, result, visible);
  const buffer = new OffscreenCanvas(result.width, result.height);
  buffer.getContext("2d").putImageData(layer, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(buffer, 0, 0, width, height);
}

// The style sheet makes the canvas as large as there is room; the worker's have no style.
function fit(canvas, { width, height }) {
  if (canvas.width === width && canvas.height === height) return;
  canvas.width = width;
  canvas.height = height;
  canvas.style?.setProperty("--ratio", String(width / height));
}

export function paintView(canvas, image, view, opacity) {
  fit(canvas, image);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const layer = new ImageData(view.columns, view.rows);
  view.values.flat().forEach((value, i) => {
    const [red, green, blue] = heat(value);
    layer.data.set([red, green, blue, 255 * Math.max(opacity, 0.35)], 4 * i);
  });
  const buffer = new OffscreenCanvas(view.columns, view.rows);
  buffer.getContext("2d").putImageData(layer, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(buffer, 0, 0, image.width, image.height);
}

function heat(value) {
  // dark blue, teal, yellow: rising lightness, so that it reads without colour vision, too
  const stops = [[20, 20, 60], [20, 110, 140], [90, 190, 120], [250, 230, 90]];
  const place = Math.min(Math.max(value, 0), 0.9999) * (stops.length - 1);
  const low = Math.floor(place);
  return stops[low].map((from, i) => from + (stops[low + 1][i] - from) * (place - low));
}

function colourTable(classes, opacity, visible) {
  const table = new Uint32Array(256);
  const alpha = Math.round(255 * opacity) << 24;
  for (const { index, colour } of classes) {
    if (visible(index)) table[index] = (alpha | bgr(colour)) >>> 0;
  }
  return table;
}

function drawEdges(out, labels, { width, height, classes }, visible) {
  const reach = Math.max(1, Math.round(Math.max(width, height) / 900));
  const lines = new Uint32Array(256);
  for (const { index, colour } of classes) lines[index] = (0xff000000 | bgr(colour)) >>> 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0, i = y * width; x < width; x++, i++) {
      const own = labels[i];
      const right = x + reach < width ? labels[i + reach] : own;
      const below = y + reach < height ? labels[i + reach * width] : own;
      if ((right !== own || below !== own) && visible(own)) out[i] = lines[own];
    }
  }
}

function bgr(colour) {
  const rgb = Number.parseInt(colour.slice(1), 16);
  return ((rgb & 255) << 16) | (rgb & 0xff00) | (rgb >> 16);
}
